"""The bank: what comes of asking it for money.  It knows the card, and whether somebody is there to be asked."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.cards import Card, declined_message
from simulator.refusals import Refused

if TYPE_CHECKING:
    from simulator.payment_methods import PaymentMethod


@dataclass(frozen=True, slots=True)
class Pays:
    """The money moves now."""


@dataclass(frozen=True, slots=True)
class Declines:
    """No money, and why not."""

    code: str
    decline_code: str | None

    @property
    def message(self) -> str:
        """What the payer is told."""
        return declined_message(self.decline_code or self.code)

    def refusal(self, **more: Any) -> Refused:
        """The answer of an API that was asked to charge the card."""
        if self.decline_code:
            more["decline_code"] = self.decline_code
        return Refused(self.message, code=self.code, type="card_error", status=402, **more)


@dataclass(frozen=True, slots=True)
class Asks:
    """Whoever holds the card has to authenticate first."""


@dataclass(frozen=True, slots=True)
class TakesDays:
    """A debit is on its way; whether it comes through shows later."""

    settles: bool


Answer = Pays | Declines | Asks | TakesDays

NOT_AUTHENTICATED = Declines("payment_intent_authentication_failure", None)


def asked(method: "PaymentMethod", *, mood: str | None, authenticated: bool) -> Answer:
    """What the bank says to a payment by *method*; a *mood* is a decline code that it has for everything just now."""
    card: Card = method.card
    if card.asks_person and not authenticated and not (card.asks_person == "unless_saved" and method.is_saved):
        return Asks()
    if method.is_expired:
        return Declines("expired_card", "expired_card")
    decline = mood or card.decline
    if card.type != "card":
        return TakesDays(settles=card.settles and not mood)
    if decline is None:
        return Pays()
    return Declines(card.failure_code if card.decline and card.failure_code else "card_declined", decline)
