"""Early fraud warnings: a bank thinks that a charge was not made by whom it seems."""

from typing import Final

from simulator.server.parameters import text
from simulator.server.routes import CREATED, listing, retrieving, same

KIND: Final = "radar.early_fraud_warning"
PLACE: Final = "/v1/radar/early_fraud_warnings"

ROUTES: Final = (
    listing(PLACE, KIND, CREATED | same("charge", text) | same("payment_intent", text)),
    retrieving(f"{PLACE}/{{id}}", KIND),
)
