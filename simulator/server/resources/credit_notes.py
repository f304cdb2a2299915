"""Credit notes: less is owed of an invoice, or was."""

from typing import Final

from simulator.credit_notes import CreditNote
from simulator.happenings import Json
from simulator.server.parameters import NOTHING, Hash, choice, many, metadata, text, unsettable, whole
from simulator.server.routes import CREATED, Call, Route, acting, listing, retrieving, same

KIND: Final = "credit_note"
PLACE: Final = "/v1/credit_notes"

CREATE: Final = Hash(
    {
        "amount": whole,
        "credit_amount": whole,
        "invoice": text,
        "lines": many(
            Hash(
                {
                    "amount": whole,
                    "description": text,
                    "invoice_line_item": text,
                    "quantity": whole,
                    "type": choice("custom_line_item", "invoice_line_item"),
                    "unit_amount": whole,
                },
                needs=("type",),
            )
        ),
        "memo": text,
        "metadata": metadata,
        "out_of_band_amount": whole,
        "reason": choice("duplicate", "fraudulent", "order_change", "product_unsatisfactory"),
        "refund_amount": whole,
    },
    needs=("invoice",),
)
UPDATE: Final = Hash({"memo": text, "metadata": unsettable(metadata)})


def create(call: Call) -> Json:
    """A new credit note."""
    return CreditNote.create(call.world, **call.params).body


ROUTES: Final = (
    Route("POST", PLACE, CREATE, create),
    listing(PLACE, KIND, CREATED | same("customer", text) | same("invoice", text)),
    retrieving(f"{PLACE}/{{id}}", KIND),
    acting(f"{PLACE}/{{id}}", KIND, UPDATE, lambda note, changes: note.update(**changes)),
    acting(f"{PLACE}/{{id}}/void", KIND, NOTHING, lambda note, _: note.void()),
)
