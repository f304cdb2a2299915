"""Products: what is sold.  What it costs is said by prices."""

from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from simulator.happenings import Json
from simulator.refusals import Refused
from simulator.things import Thing, merged_metadata

if TYPE_CHECKING:
    from simulator.world import World

_UNSET: Final = (
    *("default_price", "description", "package_dimensions", "shippable", "statement_descriptor"),
    *("tax_code", "unit_label", "url"),
)


class Product(Thing):
    """One product."""

    kind: ClassVar[str] = "product"

    @classmethod
    def create(
        cls,
        world: "World",
        *,
        name: str,
        id: str | None = None,  # noqa: A002  Stripe's own word.
        default_price_data: Json | None = None,
        metadata: Json | None = None,
        **fields: Any,
    ) -> Self:
        """A new product, and its price where one is told with it."""
        from simulator.prices import Price

        product_id = id or world.dice.identifier("prod", 14)
        if world.shelf.get(cls.kind, product_id):
            raise Refused("Product already exists.", code="resource_already_exists", param="id")
        product = cls(world, product_body(product_id, name, world.now, metadata) | fields)
        world.record("product.created", product.body, by_request=True)
        if default_price_data:
            price = Price.create(world, product=product_id, **default_price_data)
            product.update(default_price=price.id)
        return product

    def update(self, *, metadata: Json | None = {}, **changes: Any) -> None:  # noqa: B006  It is never changed.
        """Change it."""
        self.tell(
            "product.updated",
            by_request=True,
            metadata=merged_metadata(self.body["metadata"], metadata),
            updated=self.world.now,
            **changes,
        )

    def delete(self) -> None:
        """Sell it no more.  What has prices stays."""
        if any(price.body["product"] == self.id for price in self.world.shelf.all("price")):
            raise Refused("This product cannot be deleted because it has one or more user-created prices.", param="id")
        self.world.record("product.deleted", self.body, by_request=True)
        self.world.shelf.remove(self)


def product_body(product_id: str, name: str, created: int, metadata: Json | None = None) -> Json:
    """A product as Stripe shows it, with nothing told but this."""
    return {
        "id": product_id,
        "object": "product",
        **dict.fromkeys(_UNSET),
        "active": True,
        "created": created,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": merged_metadata({}, metadata),
        "name": name,
        "type": "service",
        "updated": created,
    }
