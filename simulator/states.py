"""What there is to know of a subscription: the words in which the books and the oracle speak, and we are asked to."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """How a subscription stands.  Times are whole seconds since 1970."""

    subscription_id: str
    customer_id: str
    status: str
    plan: str | None
    price_lookup_key: str | None
    billing_interval: str | None
    quantity: int | None
    current_period_start: int | None
    current_period_end: int | None
    trial_end: int | None
    cancel_at: int | None
    cancel_at_period_end: bool
    canceled_at: int | None
    collection_paused: bool
    livemode: bool

    def differences(self, other: "SubscriptionState") -> int:
        """In how many visible fields the two differ."""
        mine, theirs = asdict(self), asdict(other)
        return sum(mine[name] != theirs[name] for name in mine)


@dataclass(frozen=True, slots=True)
class PaymentState:
    """How one payment stands: everything of one business cause, in one line.  Amounts are in minor units."""

    payment_id: str
    customer_id: str | None
    named_account: str | None  # What the platform called the account, where there is no customer to ask.
    kind: str  # subscription, one_off or other
    status: str  # pending, succeeded, failed or canceled
    currency: str
    amount_minor: int
    tax_minor: int
    discount_minor: int
    refunded_minor: int
    disputed_minor: int
    invoice_id: str | None
    payment_intent_id: str | None
    charge_id: str | None
    failure_code: str | None

    def untold(self, told: "PaymentState") -> bool:
        """Whether *told* is this payment but for what Stripe need not have said while nothing was paid.

        Since basil a payment that has not come names no invoice, and an open Checkout session is told of by nobody.
        """
        unsaid = ("kind", "tax_minor", "discount_minor", "invoice_id", "named_account")
        mine, theirs = asdict(self), asdict(told)
        return self.status != "succeeded" and all(mine[name] == theirs[name] for name in mine if name not in unsaid)


@dataclass(frozen=True, slots=True)
class RefundState:
    """How one refund stands."""

    refund_id: str
    charge_id: str | None
    payment_intent_id: str | None
    status: str
    currency: str
    amount_minor: int
    reason: str | None
    failure_reason: str | None


@dataclass(frozen=True, slots=True)
class DisputeState:
    """How one dispute stands; *withdrawn* is what the bank has taken and not given back."""

    dispute_id: str
    charge_id: str
    payment_intent_id: str | None
    status: str
    currency: str
    amount_minor: int
    withdrawn_minor: int
    reason: str


@dataclass(frozen=True, slots=True)
class InvoiceState:
    """How one invoice stands."""

    invoice_id: str
    customer_id: str
    subscription_id: str | None
    status: str
    billing_reason: str | None
    currency: str
    total_minor: int
    tax_minor: int
    discount_minor: int
    amount_due_minor: int
    amount_paid_minor: int
    amount_remaining_minor: int
    attempt_count: int


@dataclass(frozen=True, slots=True)
class CustomerState:
    """Who a customer is to the platform, and whether it is still one."""

    customer_id: str
    platform_id: str | None
    deleted: bool
    livemode: bool
    since: int


@dataclass(frozen=True, slots=True)
class Money:
    """Everything that is not a subscription, by id."""

    payments: dict[str, PaymentState]
    refunds: dict[str, RefundState]
    disputes: dict[str, DisputeState]
    invoices: dict[str, InvoiceState]
    customers: dict[str, CustomerState]
