"""Subscription bodies: what a subscription shows before anything has happened to it."""

from typing import TYPE_CHECKING, Final

from simulator.customers import Customer
from simulator.happenings import Json
from simulator.things import list_of

if TYPE_CHECKING:
    from simulator.world import World

# What a new subscription shows as null.
_UNSET: Final = """
    application application_fee_percent billing_cycle_anchor_config billing_thresholds cancel_at canceled_at
    days_until_due default_source description ended_at latest_invoice next_pending_invoice_item_invoice on_behalf_of
    pause_collection pending_invoice_item_interval pending_setup_intent pending_update schedule test_clock
    transfer_data trial_end trial_start
""".split()


def cancellation(reason: str | None) -> Json:
    """Why it ends."""
    return {"comment": None, "feedback": None, "reason": reason}


STAYING: Final[Json] = {
    "cancel_at_period_end": False,
    "cancel_at": None,
    "canceled_at": None,
    "cancellation_details": cancellation(None),
}


def tax_settings(*, enabled: bool) -> Json:
    """Whether taxes are reckoned."""
    return {"disabled_reason": None, "enabled": enabled, "liability": {"type": "self"} if enabled else None}


def subscription_body(world: "World", customer: Customer, account_id: str | None) -> Json:
    """A subscription of *customer*, to nothing yet."""
    return {
        "id": world.dice.identifier("sub"),
        "object": "subscription",
        **dict.fromkeys(_UNSET),
        **_TERMS,
        "billing_cycle_anchor": world.now,
        "cancel_at_period_end": False,
        "cancellation_details": cancellation(None),
        "created": world.now,
        "currency": "usd",
        "customer": customer.id,
        "default_payment_method": customer.default_payment_method,
        "default_tax_rates": [],
        "discounts": [],
        "items": list_of([], ""),
        "livemode": False,
        "metadata": {"account_id": account_id} if account_id else {},
        "start_date": world.now,
        "status": "incomplete",
    }


# How it is billed and paid for: the same for everybody, if nothing else is said.
_TERMS: Final[Json] = {
    "automatic_tax": tax_settings(enabled=False),
    "billing_mode": {"flexible": None, "type": "classic"},
    "collection_method": "charge_automatically",
    "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
    "payment_settings": {
        "payment_method_options": {
            "card": {"network": None, "request_three_d_secure": "automatic"},
            "us_bank_account": {"financial_connections": {"filters": {}}, "verification_method": "automatic"},
        },
        "payment_method_types": None,
        "save_default_payment_method": "on_subscription",
    },
    "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
}
