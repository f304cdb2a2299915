"""Payment trials: what the bank would say, were it asked now.  Nobody is charged, and nobody is told."""

from typing import TYPE_CHECKING

from simulator.bank import Declines, Pays, TakesDays, asked
from simulator.customers import Customer
from simulator.payment_methods import PaymentMethod
from simulator.refusals import Refused

if TYPE_CHECKING:
    from simulator.world import World


def refusal_ahead(world: "World", customer: Customer, method_id: str | None) -> Refused | None:
    """What the bank would refuse a payment with, were it asked."""
    method: PaymentMethod | None = world.shelf.get("payment_method", method_id or customer.default_payment_method or "")
    if method is None:
        return Refused(
            "This customer has no attached payment source or default payment method.", code="resource_missing"
        )
    answer = asked(method, mood=customer.mood, authenticated=False)
    if isinstance(answer, Pays | TakesDays):
        return None
    return (
        answer
        if isinstance(answer, Declines)
        else Declines("subscription_payment_intent_requires_action", "authentication_required")
    ).refusal()


def check_ahead(world: "World", customer: Customer, method_id: str | None) -> None:
    """Refuse what the bank would refuse."""
    if refusal := refusal_ahead(world, customer, method_id):
        raise refusal
