"""Coupons, and the promotion codes by which customers ask for them."""

from typing import Any, Final

from simulator.coupons import Coupon, PromotionCode
from simulator.happenings import Json
from simulator.server.parameters import (
    NOTHING,
    Hash,
    choice,
    flag,
    many,
    metadata,
    percent,
    text,
    unsettable,
    whole,
)
from simulator.server.routes import CREATED, Call, Filters, Route, acting, listing, retrieving, same

COUPON: Final = "coupon"
COUPONS: Final = "/v1/coupons"
CODE: Final = "promotion_code"
CODES: Final = "/v1/promotion_codes"

CHANGE: Final[dict[str, Any]] = {"metadata": unsettable(metadata), "name": text}
CREATE: Final = Hash(
    CHANGE
    | {
        "amount_off": whole,
        "applies_to": Hash({"products": many(text)}),
        "currency": text,
        "duration": choice("forever", "once", "repeating"),
        "duration_in_months": whole,
        "id": text,
        "max_redemptions": whole,
        "percent_off": percent,
        "redeem_by": whole,
    }
)
CODE_CREATE: Final = Hash(
    {
        "active": flag,
        "code": text,
        "customer": text,
        "expires_at": whole,
        "max_redemptions": whole,
        "metadata": metadata,
        "promotion": Hash({"type": choice("coupon"), "coupon": text}, needs=("type", "coupon")),
    },
    needs=("promotion",),
)
CODE_UPDATE: Final = Hash({"active": flag, "metadata": unsettable(metadata)})
CODE_FILTERS: Final[Filters] = (
    CREATED
    | same("active", flag)
    | same("customer", text)
    | {
        "code": (text, lambda code, body: body["code"].lower() == code.lower()),
        "coupon": (text, lambda coupon, body: body["promotion"]["coupon"] == coupon),
    }
)


def create(call: Call) -> Json:
    """A new coupon."""
    return Coupon.create(call.world, **call.params).body


def delete(call: Call) -> Json:
    """A coupon nobody can redeem any more; who has, keeps it."""
    coupon = call.thing(COUPON)
    coupon.delete()
    return {"id": coupon.body["id"], "object": COUPON, "deleted": True}


def create_code(call: Call) -> Json:
    """A new promotion code."""
    return PromotionCode.create(call.world, **call.params).body


ROUTES: Final = (
    Route("POST", COUPONS, CREATE, create),
    listing(COUPONS, COUPON, CREATED),
    retrieving(f"{COUPONS}/{{id}}", COUPON),
    acting(f"{COUPONS}/{{id}}", COUPON, Hash(CHANGE), lambda coupon, changes: coupon.update(**changes)),
    Route("DELETE", f"{COUPONS}/{{id}}", NOTHING, delete),
    Route("POST", CODES, CODE_CREATE, create_code),
    listing(CODES, CODE, CODE_FILTERS),
    retrieving(f"{CODES}/{{id}}", CODE),
    acting(f"{CODES}/{{id}}", CODE, CODE_UPDATE, lambda code, changes: code.update(**changes)),
)
