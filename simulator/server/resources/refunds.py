"""Refunds: of a charge or of a payment intent, whole or in part, again and again."""

from typing import Final

from simulator.happenings import Json
from simulator.refunds import Refund
from simulator.server.parameters import NOTHING, Hash, choice, metadata, text, unsettable, whole
from simulator.server.routes import CREATED, Call, Route, acting, listing, retrieving, same

KIND: Final = "refund"
PLACE: Final = "/v1/refunds"

CREATE: Final = Hash(
    {
        "amount": whole,
        "charge": text,
        "metadata": unsettable(metadata),
        "payment_intent": text,
        "reason": choice("duplicate", "fraudulent", "requested_by_customer"),
    }
)


def create(call: Call) -> Json:
    """A new refund."""
    return Refund.create(call.world, **call.params).body


ROUTES: Final = (
    Route("POST", PLACE, CREATE, create),
    listing(PLACE, KIND, CREATED | same("charge", text) | same("payment_intent", text)),
    retrieving(f"{PLACE}/{{id}}", KIND),
    acting(
        f"{PLACE}/{{id}}",
        KIND,
        Hash({"metadata": unsettable(metadata)}),
        lambda refund, changes: refund.update(**changes),
    ),
    acting(f"{PLACE}/{{id}}/cancel", KIND, NOTHING, lambda refund, _: refund.cancel()),
)
