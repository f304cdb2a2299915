"""What may be sent to the platform's door, and what it answers: strict, and without a place for a card number.

A number that could be a card's is refused in any field and repeated nowhere: cards are typed in at Checkout, and what
never comes here cannot leak from here.
"""

import re
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, RootModel, StringConstraints, model_validator

from models.base import Identifier, Model, Moment

PAN: Final = re.compile(r"(?<![0-9])[2-6](?:[ -]?[0-9]){11,18}(?![0-9])")
"""Where a card's number could be: the networks' numbers begin with 2 to 6 and have 12 to 19 digits."""

AMOUNT_MINOR_MAX: Final = 99_999_999
TRIAL_DAYS_MAX: Final = 730


def could_be_card_number(text: str) -> bool:
    """Whether *text* holds digits that pass the check which every card's number passes (ISO/IEC 7812)."""
    return any(_passes_luhn(re.sub("[ -]", "", found.group())) for found in PAN.finditer(text))


def _passes_luhn(digits: str) -> bool:
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0  # noqa: PLR2004  # Two digits.


def _no_card_number(text: str) -> str:
    if could_be_card_number(text):
        raise ValueError("must hold no card number: cards are typed in at Checkout, and nowhere else")
    return text


Name = Annotated[Identifier, AfterValidator(_no_card_number)]
Url = Annotated[
    str,
    StringConstraints(max_length=2_000, pattern=r"^https?://[\x21-\x5b\x5d-\x7e]+$"),
    AfterValidator(_no_card_number),
]


def _no_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def _left_out(promise: str) -> Any:
    """A field that may be left out, and has nothing in it then."""
    return Field(description=promise, json_schema_extra=_no_default)


class Sent(Model):
    """What somebody sends: each field in its own type, and none that we do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class CheckoutAsked(Sent):
    """What is to be bought, and where people come back to: one of `plan` and `pack`."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        json_schema_extra={"oneOf": [{"required": ["plan"]}, {"required": ["pack"]}]},
    )

    plan: Annotated[Name, _left_out("The lookup key of a plan's price, such as mid_monthly.")] = ""
    pack: Annotated[Name, _left_out("The lookup key of a pack of credits, such as credits_500.")] = ""
    success_url: Url
    cancel_url: Url
    trial_days: Annotated[int, Field(ge=0, le=TRIAL_DAYS_MAX, description="Of a plan alone.")] = 0
    allow_promotion_codes: bool = False
    automatic_tax: bool = False

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if bool(self.plan) is bool(self.pack):
            raise ValueError("name one thing to buy: either plan or pack")
        if self.pack and self.trial_days:
            raise ValueError("trial_days is for a plan: a pack has no trial")
        return self


class PortalAsked(Sent):
    """Where people come back to."""

    return_url: Url


class When(StrEnum):
    """When something takes effect."""

    NOW = "now"
    PERIOD_END = "period_end"
    WHEN_PAID = "when_paid"  # Payment is to be confirmed by the customer first.


class ChangeAsked(Sent):
    """Another plan: a dearer one now, with what is left of the period reckoned up, a cheaper one at its end."""

    action: Literal["change"]
    plan: Annotated[Name, Field(description="The lookup key of a plan's price.")]
    subscription_id: Name | None = None


class CancelAsked(Sent):
    """No plan any more: from the period's end on, or from now on."""

    action: Literal["cancel"]
    when: Literal["period_end", "now"] = "period_end"
    subscription_id: Name | None = None


class ResumeAsked(Sent):
    """Going on after all: with what was to end, or was paused."""

    action: Literal["resume"]
    subscription_id: Name | None = None


class SubscriptionAsked(RootModel[Annotated[ChangeAsked | CancelAsked | ResumeAsked, Field(discriminator="action")]]):
    """What is to become of the account's subscription."""

    @staticmethod
    def choices() -> frozenset[str]:
        """What `action` can be."""
        return frozenset({"change", "cancel", "resume"})


class RefundReason(StrEnum):
    """Stripe's reasons."""

    DUPLICATE = "duplicate"
    FRAUDULENT = "fraudulent"
    REQUESTED_BY_CUSTOMER = "requested_by_customer"


class RefundAsked(Sent):
    """How much is to be given back, and why: without an amount, all that is left."""

    amount_minor: Annotated[int, Field(ge=1, le=AMOUNT_MINOR_MAX)] | None = None
    reason: Annotated[RefundReason, Field(strict=False)] = RefundReason.REQUESTED_BY_CUSTOMER


class CheckoutShown(Model):
    """A page of Stripe's on which to pay.  Send the person to `url`."""

    session_id: str
    url: str
    expires_at: Moment


class PortalShown(Model):
    """A page of Stripe's on which to look after one's subscription.  Send the person to `url`, at once."""

    url: str


class SubscriptionShown(Model):
    """The subscription after what was asked, or what it will be and when."""

    subscription_id: str
    status: str
    price_lookup_key: str | None
    cancel_at_period_end: bool
    effective: When
    effective_at: Moment | None
    payment_url: str | None = None  # Where it is paid, when it takes effect once it is.


class RefundShown(Model):
    """Money on its way back."""

    refund_id: str
    payment_id: str
    status: str
    currency: str
    amount_minor: int


class SubscriptionNow(Model):
    """A subscription as the books have it."""

    subscription_id: str
    status: str
    plan: str | None
    price_lookup_key: str | None
    billing_interval: str | None
    quantity: int | None
    current_period_start: Moment | None
    current_period_end: Moment | None
    trial_end: Moment | None
    cancel_at: Moment | None
    cancel_at_period_end: bool


class PaymentMethodNow(Model):
    """How the account pays, as far as a receipt would show it."""

    type: str
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None


class InvoiceNow(Model):
    """An invoice as the books have it."""

    invoice_id: str
    subscription_id: str | None
    status: str
    currency: str
    total_minor: int
    tax_minor: int
    discount_minor: int
    amount_due_minor: int
    amount_paid_minor: int
    amount_remaining_minor: int
    created_at: Moment
    paid_at: Moment | None


class PaymentNow(Model):
    """A payment as the books have it."""

    payment_id: str
    kind: str
    status: str
    currency: str
    amount_minor: int
    tax_minor: int
    discount_minor: int
    refunded_minor: int
    disputed_minor: int
    invoice_id: str | None
    failure_code: str | None
    occurred_at: Moment


class AccountShown(Model):
    """An account as the books have it: who has no live subscription is on the free plan."""

    account: str
    plan: str | None  # None: the live subscription's price is not of the catalog.
    status: str
    current_period_start: Moment | None
    current_period_end: Moment | None
    subscription: SubscriptionNow | None
    payment_method: PaymentMethodNow | None
    invoices: tuple[InvoiceNow, ...]
    payments: tuple[PaymentNow, ...]
