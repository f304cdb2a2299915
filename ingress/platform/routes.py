"""Everything that can be asked of the platform's door, in one table: routing and OpenAPI are read from it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

from pydantic import BaseModel

from ingress.platform import accounts, checkout, portal, refunds, shapes, subscriptions
from ingress.platform.calls import Act
from ingress.platform.problems import Problem, Word
from ingress.platform.shapes import could_be_card_number
from models.api_keys import Scope
from models.base import Model

ID_PATTERN: Final = r"^[A-Za-z0-9_.:@+=|-]{1,200}$"
"""What an id in a path may be: whatever a platform calls its accounts, but nothing that a query could trip over."""

EVERYWHERE: Final = (Word.KEY_NEEDED, Word.SCOPE_MISSING, Word.PARAMETER_INVALID, Word.TOO_MANY_REQUESTS)
ALWAYS: Final = (Word.OUR_MISTAKE, Word.NOT_NOW, Word.NO_ANSWER_IN_TIME)
OF_WRITES: Final = (
    *(Word.BODY_UNREADABLE, Word.BODY_INVALID, Word.IDEMPOTENCY_KEY_INVALID, Word.TOO_SLOW, Word.IN_FLIGHT),
    *(Word.TOO_LARGE, Word.NOT_JSON, Word.KEY_REUSED, Word.STRIPE_REFUSES, Word.STATE_FORBIDS),
)

_ID: Final = re.compile(ID_PATTERN)


@dataclass(frozen=True)
class Route:
    """One thing that can be asked for."""

    method: str
    template: str
    name: str
    promise: str
    scope: Scope
    act: Act
    shown: type[Model]
    status: HTTPStatus = HTTPStatus.OK
    body: type[BaseModel] | None = None
    problems: tuple[Word, ...] = ()
    parameters: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(re.findall(r"{(\w+)}", self.template)))

    @property
    def writes(self) -> bool:
        """Whether something is done."""
        return self.body is not None

    @property
    def all_problems(self) -> tuple[Word, ...]:
        """Every problem that it can be answered with."""
        return (*EVERYWHERE, *(OF_WRITES if self.writes else ()), *self.problems, *ALWAYS)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What a path of it looks like."""
        return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]*)", self.template))


ROUTES: Final = (
    Route(
        method="GET",
        template="/v1/accounts/{account}",
        name="show_account",
        promise="The account's plan, its status and period, how it is paid for, and what was paid",
        scope=Scope.ACCOUNTS_READ,
        act=accounts.show,
        shown=shapes.AccountShown,
        problems=(Word.NO_SUCH_ACCOUNT,),
    ),
    Route(
        method="POST",
        template="/v1/accounts/{account}/checkout-sessions",
        name="create_checkout_session",
        promise="A page of Stripe's on which the account subscribes to a plan, or buys a pack of credits",
        scope=Scope.CHECKOUT_WRITE,
        act=checkout.create,
        shown=shapes.CheckoutShown,
        status=HTTPStatus.CREATED,
        body=shapes.CheckoutAsked,
        problems=(Word.NOT_SOLD, Word.URL_NOT_ALLOWED),
    ),
    Route(
        method="POST",
        template="/v1/accounts/{account}/portal-sessions",
        name="create_portal_session",
        promise="A page of Stripe's on which the account looks after its subscription, its cards and its invoices",
        scope=Scope.PORTAL_WRITE,
        act=portal.create,
        shown=shapes.PortalShown,
        status=HTTPStatus.CREATED,
        body=shapes.PortalAsked,
        problems=(Word.URL_NOT_ALLOWED,),
    ),
    Route(
        method="POST",
        template="/v1/accounts/{account}/subscription",
        name="change_subscription",
        promise="Another plan (a dearer one now, a cheaper one at the period's end), an end, or going on after all",
        scope=Scope.SUBSCRIPTIONS_WRITE,
        act=subscriptions.act,
        shown=shapes.SubscriptionShown,
        body=shapes.SubscriptionAsked,
        problems=(Word.NOT_SOLD, Word.PAYMENT_DECLINED),
    ),
    Route(
        method="POST",
        template="/v1/payments/{payment}/refunds",
        name="create_refund",
        promise="Money back: an amount, or all that is left of the payment",
        scope=Scope.REFUNDS_WRITE,
        act=refunds.create,
        shown=shapes.RefundShown,
        status=HTTPStatus.CREATED,
        body=shapes.RefundAsked,
        problems=(Word.NO_SUCH_PAYMENT, Word.AMOUNT_TOO_LARGE, Word.PAYMENT_DECLINED),
    ),
)


def find(method: str, raw_path: str) -> tuple[Route, Mapping[str, str]]:
    """The route of a request, and the ids that its path holds.  Raises a problem when there is none."""
    here = [(route, found) for route in ROUTES if (found := route.pattern.fullmatch(raw_path))]
    for route, found in here:
        if route.method == method:
            return route, {name: _id(name, text) for name, text in found.groupdict().items()}
    if here:
        allow = ", ".join(sorted(route.method for route, _ in here))
        raise Problem(Word.NO_SUCH_METHOD, f"Here one can {allow}.", allow=allow)
    raise Problem(Word.NO_SUCH_PLACE, "What there is, /openapi.json says.")


def _id(name: str, text: str) -> str:
    found = unquote(text)
    if not _ID.fullmatch(found) or could_be_card_number(found):
        raise Problem.with_field(Word.PARAMETER_INVALID, name, f"must match {ID_PATTERN}, and be no card number")
    return found
