"""What the pretend company sells: three plans, by the month and by the year, an add-on that is no plan, and credits.

Prices are Stripe objects; the plans and packs are found by the price's lookup key.  A world that nobody has stocked yet
is stocked when somebody buys; whoever brings prices with the same lookup keys is sold those.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from simulator.prices import Price, price_body
from simulator.products import Product, product_body

if TYPE_CHECKING:
    from simulator.world import World

Json = dict[str, Any]

CATALOG_SINCE_SECONDS: Final = 1_735_689_600  # 2025-01-01, before every story.


@dataclass(frozen=True, slots=True)
class Offer:
    """One price of one plan.  `plan` is None for what is sold beside the plans."""

    lookup_key: str | None
    plan: str | None
    interval: str
    amount_minor: int
    price_id: str
    product_id: str
    product_name: str

    @property
    def months(self) -> int:
        """How long one period lasts."""
        return 12 if self.interval == "year" else 1


@dataclass(frozen=True, slots=True)
class Pack:
    """So many credits, paid once."""

    lookup_key: str
    credits: int
    amount_minor: int

    @property
    def price_id(self) -> str:
        """The id of its price."""
        return f"price_1SimCredits{self.credits:04}0000000000"

    @property
    def product_id(self) -> str:
        """The id of its product."""
        return f"prod_SimCredits{self.credits:04}"


def _offer(plan: str, interval: str, amount_minor: int) -> Offer:
    return Offer(
        lookup_key=f"{plan}_{interval}ly",
        plan=plan,
        interval=interval,
        amount_minor=amount_minor,
        price_id=f"price_1Sim{plan.title()}{interval.title()}ly0000000000"[:30],
        product_id=f"prod_Sim{plan.title()}000000"[:19],
        product_name=plan.title(),
    )


PLAN_OFFERS: Final = {
    str(offer.lookup_key): offer
    for offer in (
        _offer("free", "month", 0),
        _offer("mid", "month", 2900),
        _offer("mid", "year", 29000),
        _offer("high", "month", 9900),
        _offer("high", "year", 99000),
    )
}
SUPPORT: Final = Offer(
    None, None, "month", 1500, "price_1SimPrioritySupport00000", "prod_SimSupport000", "Priority support"
)
SUPPORT_YEARLY: Final = Offer(
    None, None, "year", 15000, "price_1SimPrioritySupportYear0", "prod_SimSupport000", "Priority support"
)
PACKS: Final = {
    pack.lookup_key: pack
    for pack in (
        Pack("credits_500", 500, 500),
        Pack("credits_1000", 1000, 950),
        Pack("credits_5000", 5000, 4500),
    )
}

_OFFERS: Final = (*PLAN_OFFERS.values(), SUPPORT, SUPPORT_YEARLY)
_OFFER_BY_PRICE: Final = {offer.price_id: offer for offer in _OFFERS}
assert len(_OFFER_BY_PRICE) == len(PLAN_OFFERS) + 2, "every price has an id of its own"


def offer_of(price: Json) -> Offer | None:
    """What the *price* is one of, by its lookup key or else its id; None for what the company does not know."""
    return PLAN_OFFERS.get(price["lookup_key"] or "") or _OFFER_BY_PRICE.get(price["id"])


def support_for(offer: Offer) -> Offer:
    """The add-on whose interval goes with *offer*: Stripe bills all items of a subscription together."""
    return SUPPORT_YEARLY if offer.interval == "year" else SUPPORT


def price_for(world: "World", offer: Offer | Pack) -> Json:
    """The price of *offer*, as the world's shelf has it."""
    stock(world)
    if offer.lookup_key:
        by_key = (price.body for price in world.shelf.all(Price.kind) if price.body["lookup_key"] == offer.lookup_key)
        return next(by_key)
    price: Price | None = world.shelf.get(Price.kind, offer.price_id)
    assert price is not None, "it was put there"
    return price.body


def stock(world: "World") -> None:
    """Put on the shelf what is not there yet, and let everybody know of it."""
    if world.is_stocked:
        return
    world.is_stocked = True
    known = {price.body["lookup_key"] for price in world.shelf.all(Price.kind)}
    for offer in _OFFERS:
        if offer.lookup_key is None or offer.lookup_key not in known:
            _put_offer(world, offer)
    for pack in PACKS.values():
        if pack.lookup_key not in known:
            _put_pack(world, pack)


def _put_offer(world: "World", offer: Offer) -> Price:
    metadata = {"plan": offer.plan} if offer.plan else {}
    _put_product(world, offer.product_id, offer.product_name, metadata)
    recurring = {
        "interval": offer.interval,
        "interval_count": 1,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }
    body = price_body(offer.price_id, offer.product_id, offer.amount_minor)
    body |= {"lookup_key": offer.lookup_key, "metadata": metadata, "recurring": recurring, "type": "recurring"}
    return _put_price(world, body)


def _put_pack(world: "World", pack: Pack) -> Price:
    metadata = {"credits": str(pack.credits), "kind": "credits", "pack": pack.lookup_key}
    _put_product(world, pack.product_id, f"{pack.credits} credits", metadata)
    body = price_body(pack.price_id, pack.product_id, pack.amount_minor)
    return _put_price(world, body | {"lookup_key": pack.lookup_key, "metadata": metadata})


def _put_product(world: "World", product_id: str, name: str, metadata: Json) -> None:
    if world.shelf.get(Product.kind, product_id) is None:
        product = Product(world, product_body(product_id, name, CATALOG_SINCE_SECONDS, metadata))
        world.record("product.created", product.body)


def _put_price(world: "World", body: Json) -> Price:
    price = Price(world, body | {"created": CATALOG_SINCE_SECONDS})
    world.record("price.created", price.body)
    return price
