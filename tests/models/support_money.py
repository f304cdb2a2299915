"""Our payments in the words of the pretend Stripe's books and oracle, so that they can be laid side by side."""

from dataclasses import asdict, fields
from typing import Any

from msgspec import structs, to_builtins

from models import objects
from models.customers import account_of_platform
from simulator.states import DisputeState, InvoiceState, Money, RefundState
from tests.models.support_facts import Json
from tests.models.support_shelf import Shelf

Shown = dict[str, dict[str, Json]]

_STATES = {
    "refunds": (objects.Refund, RefundState, "refund_id"),
    "disputes": (objects.Dispute, DisputeState, "dispute_id"),
    "invoices": (objects.Invoice, InvoiceState, "invoice_id"),
}


UNTOLD = {"kind", "tax_minor", "discount_minor", "invoice_id", "guest_account_id"}


def shown_by_us(shelf: Shelf) -> Shown:
    """Everything that is not a subscription, by id."""
    return {
        "payments": {of: _payment(to_builtins(payment)) for of, payment in shelf.payments.items()},
        "customers": {of: _customer(shelf, of) for of in shelf.customers if _profile(shelf, of)},
        **{name: _objects(shelf, *how) for name, how in _STATES.items()},
    }


def shown_by_them(money: Money) -> Shown:
    """The same, as they have it."""
    shown: Shown = {
        name: {of: asdict(state) for of, state in getattr(money, name).items()}
        for name in ("payments", "refunds", "disputes", "invoices", "customers")
    }
    for of, payment in shown["payments"].items():
        named = payment.pop("named_account")
        guest = {"guest_account_id": account_of_platform(named) if named else None}
        shown["payments"][of] = _payment(payment | guest)
    for customer in shown["customers"].values():
        del customer["platform_id"]  # They ask the customer alone; to us a subscription or a session may name it, too.
    return shown


def _payment(told: Json) -> Json:
    """What both have; of a payment that has not come, only what Stripe must have told by then (`untold`)."""
    beside = {"occurred_at", "livemode", "purpose"} | (set() if told["status"] == "succeeded" else UNTOLD)
    return {name: value for name, value in told.items() if name not in beside}


def _objects(shelf: Shelf, kind: Any, state: Any, id_name: str) -> dict[str, Json]:
    names = {field.name for field in fields(state)}
    found: dict[str, Json] = {}
    for of, piece in shelf.pieces.items():
        if piece.present is not None and isinstance(piece.present.state, kind):
            told = structs.asdict(piece.present.state) | {id_name: of, "customer_id": piece.customer_id}
            found[of] = {name: told[name] for name in names}
    return found


def _profile(shelf: Shelf, customer_id: str) -> objects.CustomerProfile | None:
    piece = shelf.pieces.get(customer_id)
    state = piece.present.state if piece and piece.present else None
    return state if isinstance(state, objects.CustomerProfile) else None


def _customer(shelf: Shelf, customer_id: str) -> Json:
    known, profile = shelf.customers[customer_id], _profile(shelf, customer_id)
    assert profile is not None, "asked only of those that were shown"
    assert profile.created_at is not None, "shown whole, before it was deleted"
    return {
        "customer_id": customer_id,
        "deleted": known.deleted_at is not None,
        "livemode": known.livemode,
        "since": int(profile.created_at.timestamp()),
    }
