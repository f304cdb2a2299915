"""Charges: money that moved, or did not.  They are made by payment intents alone."""

from typing import Final

from simulator.server.parameters import SHIPPING, Hash, choice, metadata, text, unsettable
from simulator.server.routes import CREATED, acting, listing, retrieving, same
from simulator.server.search import searching

KIND: Final = "charge"
PLACE: Final = "/v1/charges"

UPDATE: Final = Hash(
    {
        "customer": text,
        "description": text,
        "fraud_details": Hash({"user_report": unsettable(choice("fraudulent", "safe"))}),
        "metadata": unsettable(metadata),
        "receipt_email": text,
        "shipping": SHIPPING,
    }
)

ROUTES: Final = (
    listing(PLACE, KIND, CREATED | same("customer", text) | same("payment_intent", text)),
    searching(f"{PLACE}/search", KIND, ("amount", "created", "currency", "customer", "status", "disputed", "refunded")),
    retrieving(f"{PLACE}/{{id}}", KIND),
    acting(f"{PLACE}/{{id}}", KIND, UPDATE, lambda charge, changes: charge.update(**changes)),
)
