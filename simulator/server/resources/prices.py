"""Prices: found by their lookup keys, never deleted."""

from typing import Any, Final

from simulator.happenings import Json
from simulator.prices import Price
from simulator.server.parameters import Hash, choice, decimal, flag, many, metadata, text, unsettable, whole
from simulator.server.resources.shared import INTERVALS, RECURRING, TAX_BEHAVIOR
from simulator.server.routes import CREATED, Call, Filters, Route, acting, listing, retrieving, same
from simulator.server.search import searching

KIND: Final = "price"
PLACE: Final = "/v1/prices"
LOOKUP_KEYS_MAX: Final = 10

CHANGE: Final[dict[str, Any]] = {
    "active": flag,
    "lookup_key": unsettable(text),
    "metadata": unsettable(metadata),
    "nickname": unsettable(text),
    "tax_behavior": TAX_BEHAVIOR,
    "transfer_lookup_key": flag,
}
CREATE: Final = Hash(
    CHANGE
    | {
        "billing_scheme": choice("per_unit"),
        "currency": text,
        "product": text,
        "product_data": Hash({"id": text, "name": text, "metadata": metadata, "active": flag}, needs=("name",)),
        "recurring": RECURRING,
        "unit_amount": whole,
        "unit_amount_decimal": decimal,
    },
    needs=("currency",),
)
FILTERS: Final[Filters] = (
    CREATED
    | same("active", flag)
    | same("currency", text)
    | same("product", text)
    | same("type", choice("one_time", "recurring"))
    | {
        "lookup_keys": (many(text, LOOKUP_KEYS_MAX), lambda keys, body: body["lookup_key"] in keys),
        "recurring": (
            Hash({"interval": INTERVALS}),
            lambda asked, body: asked.items() <= (body["recurring"] or {}).items(),
        ),
    }
)


def create(call: Call) -> Json:
    """A new price."""
    return Price.create(call.world, **call.params).body


ROUTES: Final = (
    Route("POST", PLACE, CREATE, create),
    listing(PLACE, KIND, FILTERS),
    searching(f"{PLACE}/search", KIND, ("active", "currency", "lookup_key", "product", "type")),
    retrieving(f"{PLACE}/{{id}}", KIND),
    acting(f"{PLACE}/{{id}}", KIND, Hash(CHANGE), lambda price, changes: price.update(**changes)),
)
