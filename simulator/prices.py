"""Prices: what a product costs, and how often.  The amount of a price never changes; its lookup key may move."""

from typing import TYPE_CHECKING, Any, ClassVar, Self

from simulator.happenings import Json
from simulator.products import Product
from simulator.refusals import Refused, invalid, missing
from simulator.things import Thing, merged_metadata

if TYPE_CHECKING:
    from simulator.world import World


class Price(Thing):
    """One price."""

    kind: ClassVar[str] = "price"

    @classmethod
    def create(
        cls,
        world: "World",
        *,
        currency: str,
        product: str | None = None,
        product_data: Json | None = None,
        unit_amount: int | None = None,
        unit_amount_decimal: str | None = None,
        recurring: Json | None = None,
        metadata: Json | None = None,
        lookup_key: str | None = None,
        transfer_lookup_key: bool = False,
        **fields: Any,
    ) -> Self:
        """A new price of a product that there is, or of one that is told with it."""
        if product_data:
            product = Product.create(world, **product_data).id
        if product is None:
            raise invalid("You must specify either `product` or `product_data` when creating a price.", "product")
        if world.shelf.get("product", product) is None:
            raise missing("product", product, "product")
        _free_lookup_key(world, lookup_key, transfer=transfer_lookup_key)
        body = price_body(world.dice.identifier("price"), product, _amount(unit_amount, unit_amount_decimal))
        fields |= {"currency": currency, "lookup_key": lookup_key, "created": world.now}
        body |= fields | {"metadata": merged_metadata({}, metadata)} | _recurrence(recurring)
        price = cls(world, body)
        world.record("price.created", price.body, by_request=True)
        return price

    def update(
        self,
        *,
        metadata: Json | None = {},  # noqa: B006  It is never changed.
        transfer_lookup_key: bool = False,
        **changes: Any,
    ) -> None:
        """Change what may change of it."""
        key = changes.get("lookup_key")
        if key != self.body["lookup_key"]:
            _free_lookup_key(self.world, str(key) if key else None, transfer=transfer_lookup_key)
        self.tell(
            "price.updated",
            by_request=True,
            metadata=merged_metadata(self.body["metadata"], metadata),
            **changes,
        )


def _free_lookup_key(world: "World", key: str | None, *, transfer: bool) -> None:
    """A lookup key is of one price: another has to let it go first."""
    if key is None:
        return
    holder = next((price for price in world.shelf.all("price") if price.body["lookup_key"] == key), None)
    if holder is None:
        return
    if not transfer:
        raise Refused(
            f"A price (`{holder.id}`) already uses that lookup key.", code="resource_already_exists", param="lookup_key"
        )
    holder.update(lookup_key=None)


def price_named(world: "World", price_id: str, param: str) -> Price:
    """The price with this id; Refused where there is none, or it is sold no more."""
    price: Price | None = world.shelf.get("price", price_id)
    if price is None:
        raise missing("price", price_id, param)
    if not price.body["active"]:
        raise invalid("The price specified is inactive. This field only accepts active prices.", param)
    return price


def price_of_data(world: "World", data: Json, param: str) -> Price:
    """A price made for one purchase only: nobody is told of it, and it is inactive from the start."""
    product = data.get("product") or Product.create(world, **(data.get("product_data") or {"name": "Product"})).id
    if world.shelf.get("product", product) is None:
        raise missing("product", product, f"{param}[product]")
    body = price_body(world.dice.identifier("price"), product, int(data.get("unit_amount") or 0))
    body |= {"active": False, "currency": data["currency"], "created": world.now}
    return Price(world, body | _recurrence(data.get("recurring")))


def _amount(unit_amount: int | None, unit_amount_decimal: str | None) -> int:
    if unit_amount is None and unit_amount_decimal is None:
        raise invalid("You must specify either `unit_amount` or `unit_amount_decimal`.", "unit_amount")
    return unit_amount if unit_amount is not None else int(float(unit_amount_decimal or 0))


def _recurrence(recurring: Json | None) -> Json:
    if not recurring:
        return {"recurring": None, "type": "one_time"}
    whole = {
        "interval": recurring["interval"],
        "interval_count": recurring.get("interval_count", 1),
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }
    return {"recurring": whole, "type": "recurring"}


def price_body(price_id: str, product_id: str, amount: int) -> Json:
    """A price as Stripe shows it: paid once, in dollars, if nothing else is said."""
    return {
        "id": price_id,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": 0,
        "currency": "usd",
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": product_id,
        "recurring": None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
    }


def plan_of(price: Json) -> Json:
    """The legacy plan object that Stripe still shows beside a recurring *price*.  It has no lookup key."""
    return {
        "id": price["id"],
        "object": "plan",
        "active": True,
        "aggregate_usage": None,
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": "per_unit",
        "created": price["created"],
        "currency": price["currency"],
        "interval": price["recurring"]["interval"],
        "interval_count": price["recurring"]["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }
