"""Setup intents: a card is put on file without a payment.  Here Checkout makes them."""

from typing import Final

from simulator.server.parameters import text
from simulator.server.routes import CREATED, listing, retrieving, same

KIND: Final = "setup_intent"
PLACE: Final = "/v1/setup_intents"

ROUTES: Final = (
    listing(PLACE, KIND, CREATED | same("customer", text) | same("payment_method", text)),
    retrieving(f"{PLACE}/{{id}}", KIND),
)
