"""Invoices: what is owed for a period, and whether it was paid.

The body is in the newest shape; what older versions showed beside it (the payment intent, the charge, the price of a
line) is kept under `_hidden`, which no endpoint ever sees.
"""

from copy import deepcopy
from typing import TYPE_CHECKING, Final

from simulator.happenings import Json

if TYPE_CHECKING:
    from simulator.subscriptions import Subscription
    from simulator.world import World

HIDDEN: Final = "_hidden"

# What a draft of ours shows as null.
_UNSET: Final = """
    account_tax_ids application automatically_finalizes_at custom_fields default_payment_method default_source
    description due_date effective_at footer from_invoice hosted_invoice_url invoice_pdf last_finalization_error
    latest_revision next_payment_attempt number on_behalf_of receipt_number rendering shipping_cost shipping_details
    statement_descriptor test_clock threshold_reason webhooks_delivered_at
""".split()


class Invoice:
    """One invoice: draft, open, then paid, or open for ever."""

    def __init__(self, world: "World", body: Json) -> None:
        self._world = world
        self.body = body
        world.shelf.put(self)
        world.record("invoice.created", body)

    @property
    def id(self) -> str:
        """Stripe's id of the invoice."""
        return str(self.body["id"])

    @property
    def is_paid(self) -> bool:
        """Whether nothing more is owed."""
        return bool(self.body["status"] == "paid")

    def finalize(self) -> None:
        """Give it a number and show it to the customer."""
        dice = self._world.dice
        page = f"https://invoice.stripe.com/i/acct_1Sim0000000000000/test_{dice.identifier('YWNjdF', 60)}"
        self.body |= {
            "status": "open",
            "effective_at": self._world.now,
            "hosted_invoice_url": f"{page}?s=ap",
            "invoice_pdf": f"{page}/pdf?s=ap",
            "number": f"{dice.identifier('N', 8)[2:].upper()}-0001",
            "confirmation_secret": {"client_secret": dice.identifier("pi_secret", 40), "type": "payment_intent"},
        }
        self.body["status_transitions"]["finalized_at"] = self._world.now
        self._world.record("invoice.finalized", self.body)

    def pay(self) -> None:
        """Pay all of it."""
        total = self.body["total"]
        self._attempt(status="paid", amount_paid=total, amount_remaining=0, auto_advance=False)
        self.body["status_transitions"]["paid_at"] = self._world.now
        self._world.record("invoice.paid", self.body)
        self._world.record("invoice.payment_succeeded", self.body)

    def fail(self, next_attempt: int | None = None) -> None:
        """Try the card, and be declined."""
        before = deepcopy(self.body)
        self._attempt(next_payment_attempt=next_attempt)
        self._world.record("invoice.updated", self.body, before)
        self._world.record("invoice.payment_failed", self.body)

    def _attempt(self, **changes: object) -> None:
        self.body |= {"attempted": True, "attempt_count": self.body["attempt_count"] + 1} | changes


def draft(subscription: "Subscription", reason: str, *, free_of_charge: bool = False) -> Invoice:
    """A new invoice for the subscription's current period, told as `invoice.created`."""
    world: World = subscription.world
    invoice_id = world.dice.identifier("in")
    lines = [_line(subscription, item, invoice_id, free_of_charge) for item in subscription.body["items"]["data"]]
    return Invoice(world, _body(subscription, reason, invoice_id, lines))


def _amounts(total: int) -> Json:
    return {
        "amount_due": total,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": total,
        "amount_shipping": 0,
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "total": total,
        "total_discount_amounts": [],
        "total_excluding_tax": total,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "starting_balance": 0,
        "ending_balance": 0,
        "pre_payment_credit_notes_amount": 0,
        "post_payment_credit_notes_amount": 0,
    }


def _customer_fields(customer: Json) -> Json:
    """An invoice copies who it is for: plain personal data, in nearly every event."""
    return {
        "customer": customer["id"],
        "customer_address": deepcopy(customer["address"]),
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
    }


def _line(subscription: "Subscription", item: Json, invoice_id: str, free_of_charge: bool) -> Json:
    price = item["price"]
    amount = 0 if free_of_charge else price["unit_amount"] * item["quantity"]
    return {
        "id": subscription.world.dice.identifier("il"),
        "object": "line_item",
        "amount": amount,
        "currency": "usd",
        "description": f"{item['quantity']} x subscription (per {price['recurring']['interval']})",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice_id,
        "livemode": False,
        "metadata": deepcopy(subscription.body["metadata"]),
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": subscription.id,
                "subscription_item": item["id"],
            },
            "type": "subscription_item_details",
        },
        "period": {"end": item["current_period_end"], "start": item["current_period_start"]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": item["quantity"],
        "taxes": [],
        HIDDEN: {"price": deepcopy(price), "plan": deepcopy(item["plan"])},
    }


def _body(subscription: "Subscription", reason: str, invoice_id: str, lines: list[Json]) -> Json:
    world: World = subscription.world
    return {
        "id": invoice_id,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Pretend Company",
        **dict.fromkeys(_UNSET),
        **_amounts(sum(line["amount"] for line in lines)),
        **_collection(),
        **_customer_fields(subscription.customer.body),
        "billing_reason": reason,
        "created": world.now,
        "currency": "usd",
        "default_tax_rates": [],
        "discounts": [],
        "issuer": {"type": "self"},
        "lines": _list_of(lines, invoice_id),
        "livemode": False,
        "metadata": {},
        "parent": _parent(subscription),
        "period_end": world.now,
        "period_start": world.now,
        HIDDEN: {"payment_intent": world.dice.identifier("pi"), "charge": world.dice.identifier("ch")},
    }


def _collection() -> Json:
    """A draft's state: nothing tried, nothing settled."""
    return {
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "collection_method": "charge_automatically",
        "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        "status": "draft",
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
    }


def _list_of(lines: list[Json], invoice_id: str) -> Json:
    return {
        "object": "list",
        "data": lines,
        "has_more": False,
        "total_count": len(lines),
        "url": f"/v1/invoices/{invoice_id}/lines",
    }


def _parent(subscription: "Subscription") -> Json:
    return {
        "quote_details": None,
        "subscription_details": {
            "metadata": deepcopy(subscription.body["metadata"]),
            "subscription": subscription.id,
        },
        "type": "subscription_details",
    }
