"""Invoice payments: which payment intent pays which invoice.  Since basil nothing else tells."""

from typing import TYPE_CHECKING, ClassVar, Self

from simulator.things import Thing

if TYPE_CHECKING:
    from simulator.world import World


class InvoicePayment(Thing):
    """One way in which an invoice may be paid: open, then paid or canceled."""

    kind: ClassVar[str] = "invoice_payment"

    @classmethod
    def open(cls, world: "World", invoice_id: str, intent_id: str, amount: int, currency: str) -> Self:
        """The invoice may be paid by this intent.  Nobody is told before it is."""
        body = {
            "id": world.dice.identifier("inpay"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": amount,
            "created": world.now,
            "currency": currency,
            "invoice": invoice_id,
            "is_default": True,
            "livemode": False,
            "payment": {"payment_intent": intent_id, "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
        return cls(world, body)

    def pay(self) -> None:
        """It was."""
        moments = {"canceled_at": None, "paid_at": self.world.now}
        paid = self.body["amount_requested"]
        self.note("invoice_payment.paid", status="paid", amount_paid=paid, status_transitions=moments)

    def cancel(self) -> None:
        """It will not be."""
        if self.body["status"] == "open":
            self.become(status="canceled", status_transitions={"canceled_at": self.world.now, "paid_at": None})
