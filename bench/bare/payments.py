"""Which objects are of one payment, and what the payment's row holds: what each event says counts when it comes.

What came before is what the batch has loaded.  Nothing is put in order, nothing waits, and nothing is reckoned from the
whole of what is known.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from bench.bare.objects import Row, links

PENDING: Final = "pending"
OF_INTENT: Final = {"succeeded": "succeeded", "canceled": "canceled"}


class Piece(NamedTuple):
    """An object that was seen, or seen named."""

    object_id: str
    kind: str | None = None
    cause_id: str | None = None
    customer_id: str | None = None
    account_id: str | None = None
    fact_id: str | None = None
    occurred_at: datetime | None = None
    state: str | None = None


@dataclass(slots=True)
class Payments:
    """The pieces and payments that a batch touches, and which of them it has changed."""

    pieces: dict[str, Piece] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)  # By payment.
    members: dict[str, set[str]] = field(default_factory=dict)  # By cause.
    changed_pieces: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)

    def add(self, piece: Piece, row: Row | None) -> None:
        """What was loaded."""
        self.pieces[piece.object_id] = piece
        if piece.cause_id:
            self.members.setdefault(piece.cause_id, set()).add(piece.object_id)
        if row is not None:
            row["occurred_at"] = datetime.fromisoformat(row["occurred_at"])
            self.rows[piece.object_id] = row

    def show(self, shown: Piece, state: Row, *, of_payment: bool) -> tuple[Piece, list[Row], list[str]]:
        """An object is like this now: its piece with its owner, the payments that have changed, and which are gone."""
        if not of_payment:
            self._keep(shown)
            return shown, [], []
        joined = self._join(shown, links(state))
        before = {one: dict(self.rows[one]) for one in self.members[joined.cause_id or ""] if one in self.rows}
        gone = self._tell(joined, state)
        after = [self.rows[one] for one in self.members[joined.cause_id or ""] if one in self.rows]
        changed = [row for row in after if before.get(row["payment_id"]) != row]
        self.changed.update(row["payment_id"] for row in changed)
        return joined, changed, gone

    def _keep(self, piece: Piece) -> None:
        self.pieces[piece.object_id] = piece
        self.changed_pieces.add(piece.object_id)

    def _join(self, shown: Piece, named: list[str]) -> Piece:
        """All that it names, and all that these name, is of one cause now, and of one owner."""
        found = {shown.object_id, *named}
        causes = {self.pieces[one].cause_id for one in found if one in self.pieces}
        found = found.union(*(self.members[one] for one in causes if one))
        known = {one: self.pieces.get(one) or Piece(one) for one in found} | {shown.object_id: shown}
        cause_id = min(found)
        was = self.pieces.get(shown.object_id)
        owners = [*known.values(), *([was] if was else [])]
        customer_id = next((one.customer_id for one in owners if one.customer_id), None)
        account_id = next((one.account_id for one in owners if one.account_id), None)
        for one, piece in known.items():
            now = piece._replace(cause_id=cause_id, customer_id=customer_id, account_id=account_id)
            if now != self.pieces.get(one):
                self._keep(now)
        for cause in causes - {cause_id, None}:
            self.members.pop(cause or "", None)
        self.members[cause_id] = found
        return self.pieces[shown.object_id]

    def _tell(self, shown: Piece, state: Row) -> list[str]:
        """What the object says of its payment; the invoices' own payments that are a part of an intent's now."""
        members = self.members[shown.cause_id or ""]
        intent_id = shown.object_id if shown.kind == "payment_intent" else state.get("payment_intent_id")
        if intent_id is not None:
            self._row(intent_id, shown, state).update(_of_intent(shown, state))
        elif shown.kind == "charge":
            self._row(shown.object_id, shown, state).update(_of_charge(shown, state))
        elif shown.kind == "invoice" and _paid(state) and not any(one in self.rows for one in members):
            self._row(shown.object_id, shown, state).update(_of_paid_invoice(state))
        rows = [self.rows[one] for one in members if one in self.rows]
        invoice = self._invoice(shown, state)
        for row in rows:
            row["customer_id"] = shown.customer_id
            row["guest_account_id"] = None if shown.customer_id else shown.account_id
            row.update(invoice)
        of_invoices = [row["payment_id"] for row in rows if row["payment_id"].startswith("in_")]
        if len(of_invoices) == len(rows):
            return []
        for payment_id in of_invoices:
            del self.rows[payment_id]
        self.gone.update(of_invoices)
        return of_invoices

    def _row(self, payment_id: str, shown: Piece, state: Row) -> Row:
        if payment_id not in self.rows:
            self.rows[payment_id] = {
                "payment_id": payment_id,
                "customer_id": None,
                "guest_account_id": None,
                "kind": "other",
                "status": PENDING,
                "currency": state.get("currency") or "usd",
                "amount_minor": state.get("amount_minor", 0),
                "tax_minor": 0,
                "discount_minor": 0,
                "refunded_minor": 0,
                "disputed_minor": 0,
                "invoice_id": None,
                "payment_intent_id": payment_id if payment_id.startswith("pi_") else None,
                "charge_id": None,
                "failure_code": None,
                "purpose": None,
                "occurred_at": shown.occurred_at,
                "livemode": False,
            }
        return self.rows[payment_id]

    def _invoice(self, shown: Piece, state: Row) -> Row:
        """What the cause's invoice says, once both are known."""
        if shown.kind == "invoice":
            return _of_invoice(shown.object_id, state)
        if shown.kind == "invoice_payment":
            invoice = self.pieces.get(state["invoice_id"])
            return _of_invoice(state["invoice_id"], json.loads(invoice.state) if invoice and invoice.state else {})
        return {}


def _of_intent(shown: Piece, state: Row) -> Row:
    """What an object says that names the intent, or is it."""
    if shown.kind == "payment_intent":
        failed = state["error_code"] is not None and state["status"] == "requires_payment_method"
        return {
            "status": "failed" if failed else OF_INTENT.get(state["status"], PENDING),
            "currency": state["currency"],
            "amount_minor": state["amount_received_minor"] or state["amount_minor"],
            "charge_id": state["latest_charge_id"],
            "failure_code": state["error_code"] if failed else None,
            "purpose": state["purpose"],
        }
    if shown.kind == "charge":
        return _of_charge(shown, state)
    if shown.kind == "refund":
        return {"refunded_minor": state["amount_minor"]} if state["status"] == "succeeded" else {"refunded_minor": 0}
    if shown.kind == "dispute":
        return {"disputed_minor": state["withdrawn_minor"]}
    if shown.kind == "checkout.session":
        told = {name: state[name] for name in ("tax_minor", "discount_minor")}
        return told | {"kind": "subscription" if state["mode"] == "subscription" else "one_off"}
    return {}


def _of_charge(shown: Piece, state: Row) -> Row:
    return {"charge_id": shown.object_id, "refunded_minor": state["amount_refunded_minor"]}


def _paid(state: Row) -> bool:
    return bool(state["status"] == "paid" and state["amount_paid_minor"] > 0)


def _of_paid_invoice(state: Row) -> Row:
    return {"status": "succeeded", "amount_minor": state["amount_paid_minor"]}


def _of_invoice(invoice_id: str, state: Mapping[str, Any]) -> Row:
    told = {"invoice_id": invoice_id}
    if state:
        told |= {"tax_minor": state["tax_minor"], "discount_minor": state["discount_minor"]}
        told |= {"kind": "subscription"} if state["subscription_id"] else {}
    return told
