"""Everything that the platform's door says no with, as RFC 9457 has it: application/problem+json.

A problem says what is wrong, with which field, and what would be right.  It never repeats what it was given: that may
be a secret that somebody put into the wrong place.  (https://www.rfc-editor.org/rfc/rfc9457)
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final, Self

from models.base import Model
from runtime.stripe_client import Refused, StripeTrouble, Unknown

CONTENT_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:billstream:problem:"
SEND_AGAIN: Final = "Send it again with the same Idempotency-Key: whatever was done already is not done twice."
UNANSWERED: Final = frozenset({"timeout", "connection_lost"})
CARD_ERROR: Final = HTTPStatus.PAYMENT_REQUIRED


class Word(StrEnum):
    """A problem's name; the last part of its `type`."""

    BODY_UNREADABLE = "body-unreadable"
    BODY_INVALID = "body-invalid"
    PARAMETER_INVALID = "parameter-invalid"
    IDEMPOTENCY_KEY_INVALID = "idempotency-key-invalid"
    NOT_HTTP = "not-http"
    KEY_NEEDED = "key-needed"
    SCOPE_MISSING = "scope-missing"
    PAYMENT_DECLINED = "payment-declined"
    NO_SUCH_PLACE = "no-such-place"
    NO_SUCH_ACCOUNT = "no-such-account"
    NO_SUCH_PAYMENT = "no-such-payment"
    NO_SUCH_METHOD = "no-such-method"
    TOO_SLOW = "too-slow"
    IN_FLIGHT = "request-in-flight"
    STATE_FORBIDS = "state-forbids"
    TOO_LARGE = "too-large"
    NOT_JSON = "not-json"
    KEY_REUSED = "idempotency-key-reused"
    NOT_SOLD = "not-sold"
    URL_NOT_ALLOWED = "url-not-allowed"
    AMOUNT_TOO_LARGE = "amount-too-large"
    STRIPE_REFUSES = "stripe-refuses"
    TOO_MANY_REQUESTS = "too-many-requests"
    OUR_MISTAKE = "our-mistake"
    NOT_NOW = "not-now"
    NO_ANSWER_IN_TIME = "no-answer-in-time"


SAYS: Final[dict[Word, tuple[HTTPStatus, str]]] = {
    Word.BODY_UNREADABLE: (HTTPStatus.BAD_REQUEST, "The body is not JSON."),
    Word.BODY_INVALID: (HTTPStatus.BAD_REQUEST, "The body is not what is asked for here."),
    Word.PARAMETER_INVALID: (HTTPStatus.BAD_REQUEST, "A part of the path is not an id."),
    Word.IDEMPOTENCY_KEY_INVALID: (HTTPStatus.BAD_REQUEST, "Idempotency-Key is missing, or is none."),
    Word.NOT_HTTP: (HTTPStatus.BAD_REQUEST, "The request is not HTTP."),
    Word.KEY_NEEDED: (HTTPStatus.UNAUTHORIZED, "A valid API key is needed."),
    Word.SCOPE_MISSING: (HTTPStatus.FORBIDDEN, "The API key does not allow this."),
    Word.PAYMENT_DECLINED: (HTTPStatus.PAYMENT_REQUIRED, "The payment was declined; nothing has changed."),
    Word.NO_SUCH_PLACE: (HTTPStatus.NOT_FOUND, "There is nothing here."),
    Word.NO_SUCH_ACCOUNT: (HTTPStatus.NOT_FOUND, "Nothing is known of this account."),
    Word.NO_SUCH_PAYMENT: (HTTPStatus.NOT_FOUND, "Nothing is known of this payment."),
    Word.NO_SUCH_METHOD: (HTTPStatus.METHOD_NOT_ALLOWED, "This cannot be done here."),
    Word.TOO_SLOW: (HTTPStatus.REQUEST_TIMEOUT, "The body did not come in time."),
    Word.IN_FLIGHT: (HTTPStatus.CONFLICT, "A request with this Idempotency-Key is being carried out."),
    Word.STATE_FORBIDS: (HTTPStatus.CONFLICT, "As things stand this cannot be done."),
    Word.TOO_LARGE: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large."),
    Word.NOT_JSON: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be application/json, not compressed."),
    Word.KEY_REUSED: (HTTPStatus.UNPROCESSABLE_ENTITY, "This Idempotency-Key was used for another request."),
    Word.NOT_SOLD: (HTTPStatus.UNPROCESSABLE_ENTITY, "The catalog does not sell this."),
    Word.URL_NOT_ALLOWED: (HTTPStatus.UNPROCESSABLE_ENTITY, "People may not be sent there."),
    Word.AMOUNT_TOO_LARGE: (HTTPStatus.UNPROCESSABLE_ENTITY, "There is not so much left of the payment."),
    Word.STRIPE_REFUSES: (HTTPStatus.UNPROCESSABLE_ENTITY, "Stripe refuses this."),
    Word.TOO_MANY_REQUESTS: (HTTPStatus.TOO_MANY_REQUESTS, "This API key asks too often."),
    Word.OUR_MISTAKE: (HTTPStatus.INTERNAL_SERVER_ERROR, "We made a mistake."),
    Word.NOT_NOW: (HTTPStatus.SERVICE_UNAVAILABLE, "This cannot be done now."),
    Word.NO_ANSWER_IN_TIME: (HTTPStatus.GATEWAY_TIMEOUT, "There was no answer in time."),
}
assert set(SAYS) == set(Word), "every problem has its number and its sentence"


class Wrong(Model):
    """One field, and what would be right in it."""

    field: str
    right: str


class ProblemShown(Model):
    """A problem as it is answered (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[Wrong, ...] = ()
    correlation_id: str


@dataclass
class Problem(Exception):
    """The request ends here.  *is_final*: Stripe was asked and said no, so that the answer is kept like any other."""

    word: Word
    detail: str
    errors: tuple[Wrong, ...] = ()
    retry_after_seconds: int | None = None
    allow: str | None = None
    is_final: bool = False

    @property
    def status(self) -> HTTPStatus:
        """HTTP's number for it."""
        return SAYS[self.word][0]

    @classmethod
    def with_field(cls, word: Word, field: str, right: str) -> Self:
        """What is wrong with one field, and what would be right."""
        return cls(word, f"{field}: {right}", (Wrong(field=field, right=right),))

    @classmethod
    def of_stripe(cls, trouble: StripeTrouble) -> Self:
        """What Stripe's trouble means to whoever waits.  Stripe's own words stay behind: they may quote somebody."""
        if isinstance(trouble, Refused):
            word = Word.PAYMENT_DECLINED if trouble.status == CARD_ERROR else Word.STRIPE_REFUSES
            return cls(word, f"Stripe says {trouble.reason}.", is_final=True)
        silent = isinstance(trouble, Unknown) or trouble.reason in UNANSWERED
        word = Word.NO_ANSWER_IN_TIME if silent else Word.NOT_NOW
        return cls(word, f"Stripe: {trouble.reason}. {SEND_AGAIN}", retry_after_seconds=_whole(trouble.after_seconds))

    def shown(self, correlation_id: str) -> ProblemShown:
        """As it is answered."""
        status, title = SAYS[self.word]
        return ProblemShown(
            type=f"{TYPE_PREFIX}{self.word}",
            title=title,
            status=status,
            detail=self.detail,
            errors=self.errors,
            correlation_id=correlation_id,
        )

    def headers(self) -> dict[str, str]:
        """What goes with it."""
        headers = {}
        if self.retry_after_seconds is not None:
            headers["Retry-After"] = str(self.retry_after_seconds)
        if self.allow is not None:
            headers["Allow"] = self.allow
        if self.word is Word.KEY_NEEDED:
            headers["WWW-Authenticate"] = 'Bearer realm="billing"'
        return headers


def _whole(seconds: float | None) -> int:
    return max(1, math.ceil(seconds or 1.0))
