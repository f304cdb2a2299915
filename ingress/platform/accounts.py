"""An account as our own tables have it.  Stripe is not asked: this answers while Stripe is away."""

from typing import Any, Final

from ingress.platform import customers
from ingress.platform.calls import Call
from ingress.platform.problems import Problem, Word
from ingress.platform.shapes import AccountShown, InvoiceNow, PaymentMethodNow, PaymentNow, SubscriptionNow
from store import accounts

ROWS_MAX: Final = 20
"""The newest so many invoices and payments: older ones are for reports."""

FREE: Final = "free"
BY_CLAIM: Final = ("active", "trialing", "past_due", "unpaid", "paused", "incomplete")
"""What a subscription entitles to, the most first; one with another status entitles to nothing."""


async def show(call: Call) -> AccountShown:
    """The account's plan, how it is paid for, and what was paid."""
    known = await customers.known(call)
    if not known.all:
        raise Problem.with_field(
            Word.NO_SUCH_ACCOUNT, "account", "must be one that has been to Checkout: until then it is on the free plan"
        )
    async with call.tools.tables.connection() as connection:
        subscription = _foremost(await accounts.subscriptions(connection, known.living))
        method = await accounts.payment_method(connection, known.living)
        invoices = await accounts.invoices(connection, known.all, ROWS_MAX)
        payments = await accounts.payments(connection, known.all, ROWS_MAX)
    return AccountShown(
        account=call.ids["account"],
        **_plan(subscription),
        subscription=None if subscription is None else SubscriptionNow(**subscription),
        payment_method=None if method is None else PaymentMethodNow(**method),
        invoices=tuple(InvoiceNow(**one) for one in invoices),
        payments=tuple(PaymentNow(**one) for one in payments),
    )


def _foremost(subscriptions: list[dict[str, Any]]) -> dict[str, Any] | None:
    live = [one for one in subscriptions if one["status"] in BY_CLAIM]
    return min(live, key=lambda one: BY_CLAIM.index(one["status"]), default=None)


def _plan(subscription: dict[str, Any] | None) -> dict[str, Any]:
    if subscription is None:
        return {"plan": FREE, "status": "none", "current_period_start": None, "current_period_end": None}
    return {name: subscription[name] for name in ("plan", "status", "current_period_start", "current_period_end")}
