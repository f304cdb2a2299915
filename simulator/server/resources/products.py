"""Products."""

from typing import Any, Final

from simulator.happenings import Json
from simulator.products import Product
from simulator.server.parameters import NOTHING, Hash, flag, many, metadata, text, unsettable, whole
from simulator.server.resources.shared import RECURRING, TAX_BEHAVIOR
from simulator.server.routes import CREATED, Call, Route, acting, listing, retrieving, same
from simulator.server.search import searching

KIND: Final = "product"
PLACE: Final = "/v1/products"
IMAGES_MAX: Final = 8

CHANGE: Final[dict[str, Any]] = {
    "active": flag,
    "description": unsettable(text),
    "images": many(text, IMAGES_MAX),
    "metadata": unsettable(metadata),
    "name": text,
    "shippable": flag,
    "statement_descriptor": text,
    "tax_code": unsettable(text),
    "unit_label": unsettable(text),
    "url": unsettable(text),
}
DEFAULT_PRICE: Final = Hash(
    {
        "currency": text,
        "metadata": metadata,
        "recurring": RECURRING,
        "tax_behavior": TAX_BEHAVIOR,
        "unit_amount": whole,
    },
    needs=("currency",),
)
CREATE: Final = Hash(CHANGE | {"id": text, "default_price_data": DEFAULT_PRICE}, needs=("name",))
UPDATE: Final = Hash(CHANGE | {"default_price": text})


def create(call: Call) -> Json:
    """A new product."""
    return Product.create(call.world, **call.params).body


def delete(call: Call) -> Json:
    """A product no more; Stripe refuses that once it has prices."""
    product = call.thing(KIND)
    product.delete()
    return {"id": product.id, "object": KIND, "deleted": True}


ROUTES: Final = (
    Route("POST", PLACE, CREATE, create),
    listing(
        PLACE,
        KIND,
        CREATED
        | same("active", flag)
        | {"ids": (many(text), lambda ids, body: body["id"] in ids)}
        | same("shippable", flag)
        | same("url", text),
    ),
    searching(f"{PLACE}/search", KIND, ("active", "description", "name", "url")),
    retrieving(f"{PLACE}/{{id}}", KIND),
    acting(f"{PLACE}/{{id}}", KIND, UPDATE, lambda product, changes: product.update(**changes)),
    Route("DELETE", f"{PLACE}/{{id}}", NOTHING, delete),
)
