"""Requests: what a decision asks of Stripe.  It is said like anything else, and the answer comes back as a fact.

To ask repairs what we know, it never decides: until the answer is heard, the books believe what they have.  A request
is one cause.  However often it is read, what it asks for is done once; and each is answered, by what Stripe shows
(`charge.retrieved`) or by why it cannot be (`stripe.request.failed`).
"""

from enum import StrEnum
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from models.base import Identifier, Model
from models.event import Event
from models.money import MinorUnits
from models.topics import STRIPE_REQUESTS


class Why(StrEnum):
    """Why we want to see an object."""

    AMBIGUOUS_ORDER = "ambiguous_order"  # Facts of one second could not be ordered by what they carry.
    OWNER_UNKNOWN = "owner_unknown"  # A fact has waited, and nothing has told whose it is.
    THIN_EVENT = "thin_event"  # Stripe said that something happened to it, and did not show it.
    DRIFT = "drift"  # A comparison found what no fact explains.


class RefundReason(StrEnum):
    """Stripe's words for why money is given back."""

    DUPLICATE = "duplicate"
    FRAUDULENT = "fraudulent"
    REQUESTED_BY_CUSTOMER = "requested_by_customer"


class Proration(StrEnum):
    """Stripe's words for who pays for the rest of a period that a change cuts in two."""

    CREATE_PRORATIONS = "create_prorations"  # On the next invoice.
    ALWAYS_INVOICE = "always_invoice"  # At once.
    NONE = "none"  # Nobody.


class Retrieve(Model):
    """Show us an object as it is.  `object_kind` is Stripe's word for it, such as `charge`."""

    kind: Literal["retrieve"] = "retrieve"
    object_kind: Identifier
    object_id: Identifier
    why: Why


class Refund(Model):
    """Give money back, of a payment intent or of a charge that has none."""

    kind: Literal["refund"] = "refund"
    payment_intent_id: Identifier | None = None
    charge_id: Identifier | None = None
    amount_minor: Annotated[MinorUnits, Field(gt=0)]
    reason: RefundReason | None = None

    @model_validator(mode="after")
    def _gives_back_one_payment(self) -> Self:
        if (self.payment_intent_id is None) is (self.charge_id is None):
            raise ValueError("a refund names a payment intent or a charge")
        return self


class CancelSubscription(Model):
    """End a subscription: now, or when what is paid for has been had."""

    kind: Literal["cancel_subscription"] = "cancel_subscription"
    subscription_id: Identifier
    at_period_end: bool


class ChangeSubscription(Model):
    """Let a subscription of one item go on with another price, from now on."""

    kind: Literal["change_subscription"] = "change_subscription"
    subscription_id: Identifier
    price_lookup_key: Identifier
    quantity: Annotated[int, Field(gt=0)] | None = None  # None: as many as before.
    proration: Proration = Proration.CREATE_PRORATIONS


Request: TypeAlias = Annotated[Retrieve | Refund | CancelSubscription | ChangeSubscription, Field(discriminator="kind")]


class StripeRequested(Event):
    """A decision asks something of Stripe.  `subject` is the object that it asks about."""

    topic = STRIPE_REQUESTS
    type: Literal["billing.stripe.requested.v1"] = "billing.stripe.requested.v1"
    customer_id: str | None = None  # Whose it is, where that is known: so that a failure finds its account.
    request: Request
