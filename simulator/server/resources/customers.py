"""Customers."""

from typing import Any, Final

from simulator.customers import Customer
from simulator.happenings import Json
from simulator.server.parameters import (
    ADDRESS,
    NOTHING,
    SHIPPING,
    Hash,
    choice,
    many,
    metadata,
    text,
    unsettable,
    whole,
)
from simulator.server.routes import CREATED, Call, Route, acting, listing, retrieving, same
from simulator.server.search import searching

KIND: Final = "customer"
PLACE: Final = "/v1/customers"

CHANGE: Final[dict[str, Any]] = {
    "address": unsettable(ADDRESS),
    "balance": whole,
    "description": unsettable(text),
    "email": unsettable(text),
    "invoice_settings": Hash({"default_payment_method": unsettable(text), "footer": unsettable(text)}),
    "metadata": unsettable(metadata),
    "name": unsettable(text),
    "phone": unsettable(text),
    "preferred_locales": many(text),
    "shipping": unsettable(SHIPPING),
    "tax_exempt": unsettable(choice("none", "exempt", "reverse")),
}
CREATE: Final = Hash(CHANGE | {"payment_method": text})
UPDATE: Final = Hash(CHANGE)


def create(call: Call) -> Json:
    """A new customer."""
    return Customer.create(call.world, **call.params).body


def delete(call: Call) -> Json:
    """A customer no more; what it had ends with it."""
    customer = call.thing(KIND)
    customer.delete()
    return {"id": customer.id, "object": KIND, "deleted": True}


ROUTES: Final = (
    Route("POST", PLACE, CREATE, create),
    listing(PLACE, KIND, CREATED | same("email", text)),
    searching(f"{PLACE}/search", KIND, ("created", "email", "name", "phone")),
    retrieving(f"{PLACE}/{{id}}", KIND),
    acting(f"{PLACE}/{{id}}", KIND, UPDATE, lambda customer, changes: customer.update(**changes)),
    Route("DELETE", f"{PLACE}/{{id}}", NOTHING, delete),
)
