"""Credit notes: less is owed of an invoice, or was."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from simulator.happenings import Json
from simulator.refunds import Refund
from simulator.refusals import Refused, invalid, missing
from simulator.things import Thing, list_of, merged_metadata

if TYPE_CHECKING:
    from simulator.invoices import Invoice
    from simulator.world import World

_NOTHING: Final[Json] = {}


class CreditNote(Thing):
    """One credit note of one invoice."""

    kind: ClassVar[str] = "credit_note"

    def __init__(self, invoice: "Invoice", body: Json) -> None:
        super().__init__(invoice.world, body)
        self.invoice = invoice

    @classmethod
    def create(
        cls,
        world: "World",
        *,
        invoice: str,
        amount: int | None = None,
        lines: Sequence[Json] | None = None,
        refund_amount: int = 0,
        credit_amount: int = 0,
        out_of_band_amount: int = 0,
        metadata: Json | None = None,
        **fields: Any,
    ) -> Self:
        """Owe less: off what is open; of what was paid, by a refund, by a balance, or by other means."""
        thing: Invoice | None = world.shelf.get("invoice", invoice)
        if thing is None:
            raise missing("invoice", invoice, "invoice")
        if thing.status not in {"open", "paid"}:
            raise invalid(f"Credit notes can only be created for open or paid invoices: {thing.status}.", "invoice")
        credited = sum(_line_amount(line) for line in lines) if lines else amount or refund_amount + credit_amount
        credited = credited or out_of_band_amount
        ways = refund_amount + credit_amount + out_of_band_amount
        if thing.is_paid and ways != credited:
            words = "The sum of credit amount, refund amount and out of band amount must equal the credit note amount"
            raise invalid(f"{words} ({credited}).", "amount")
        most = thing.body["amount_paid"] - thing.body["post_payment_credit_notes_amount"]
        if not 0 < credited <= (most if thing.is_paid else thing.body["amount_remaining"]):
            raise invalid("The credit note amount exceeds what is left of the invoice.", "amount")
        if refund_amount and (thing.intent is None or thing.intent.charge is None):
            raise invalid("This invoice was not paid by a charge, so nothing can be refunded.", "refund_amount")
        body = _body(thing, credited, lines) | {"metadata": merged_metadata({}, metadata)} | fields
        note = cls(thing, body | {"out_of_band_amount": out_of_band_amount or None})
        note._carry_out(refund_amount, credit_amount)
        world.record("credit_note.created", note.body, by_request=True)
        thing.credit(credited, after_payment=thing.is_paid)
        return note

    def update(self, *, metadata: Json | None = _NOTHING, **changes: Any) -> None:
        """Change what is written on it."""
        merged = merged_metadata(self.body["metadata"], metadata)
        self.tell("credit_note.updated", by_request=True, metadata=merged, **changes)

    def void(self) -> None:
        """It was a mistake: all of it is owed again."""
        if self.body["status"] == "void" or self.body["type"] != "pre_payment" or self.invoice.status != "open":
            raise Refused("This credit note cannot be voided.", param="id")
        self.note("credit_note.voided", by_request=True, status="void", voided_at=self.world.now)
        self.invoice.credit(-self.body["amount"], after_payment=False)

    def _carry_out(self, refund_amount: int, credit_amount: int) -> None:
        charge = self.invoice.intent.charge if self.invoice.intent else None
        if refund_amount and charge:
            refund = Refund.of(charge, refund_amount)
            told = {"amount_refunded": refund_amount, "payment_record_refund": None, "refund": refund.id}
            self.become(refunds=[told | {"type": "refund"}])
        if credit_amount:
            customer = self.invoice.customer
            customer.tell("customer.updated", balance=customer.body["balance"] - credit_amount)


def _line_amount(line: Json) -> int:
    return int(line.get("amount") or line.get("unit_amount", 0) * line.get("quantity", 1))


def _body(invoice: "Invoice", amount: int, lines: Sequence[Json] | None) -> Json:
    world, note_id = invoice.world, invoice.world.dice.identifier("cn")
    count = sum(1 for note in world.shelf.all("credit_note") if note.invoice is invoice)
    told = lines or [{"type": "custom_line_item", "amount": amount, "quantity": 1}]
    when = "post_payment" if invoice.is_paid else "pre_payment"
    return {
        "id": note_id,
        "object": "credit_note",
        "amount": amount,
        "amount_shipping": 0,
        "created": world.now,
        "currency": invoice.body["currency"],
        "customer": invoice.customer.id,
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": world.now,
        "invoice": invoice.id,
        "lines": list_of([_line(invoice, line) for line in told], f"/v1/credit_notes/{note_id}/lines"),
        "livemode": False,
        "memo": None,
        "number": f"{invoice.body['number']}-CN-{count + 1:02}",
        "out_of_band_amount": None,
        "pdf": f"{world.address}/credit_notes/{note_id}/pdf",
        "post_payment_amount": amount if invoice.is_paid else 0,
        "pre_payment_amount": 0 if invoice.is_paid else amount,
        "pretax_credit_amounts": [],
        "reason": None,
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": amount,
        "subtotal_excluding_tax": amount,
        "total": amount,
        "total_excluding_tax": amount,
        "total_taxes": [],
        "type": when,
        "voided_at": None,
    }


def _line(invoice: "Invoice", line: Json) -> Json:
    amount = _line_amount(line)
    of_line = {name: line[name] for name in ("invoice_line_item",) if name in line}
    return of_line | {
        "id": invoice.world.dice.identifier("cnli"),
        "object": "credit_note_line_item",
        "amount": amount,
        "description": line.get("description"),
        "discount_amount": 0,
        "discount_amounts": [],
        "livemode": False,
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": line.get("quantity", 1),
        "tax_rates": [],
        "taxes": [],
        "type": line["type"],
        "unit_amount": line.get("unit_amount"),
        "unit_amount_decimal": str(line["unit_amount"]) if "unit_amount" in line else None,
    }
