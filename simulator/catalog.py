"""What the pretend company sells: three plans, by the month and by the year, and an add-on that is no plan.

Prices are Stripe objects; the plans are found by the price's lookup key.
"""

from dataclasses import dataclass
from typing import Any, Final

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

    @property
    def months(self) -> int:
        """How long one period lasts."""
        return 12 if self.interval == "year" else 1


def _offer(plan: str, interval: str, amount_minor: int) -> Offer:
    return Offer(
        lookup_key=f"{plan}_{interval}ly",
        plan=plan,
        interval=interval,
        amount_minor=amount_minor,
        price_id=f"price_1Sim{plan.title()}{interval.title()}ly0000000000"[:30],
        product_id=f"prod_Sim{plan.title()}000000"[:19],
    )


PLAN_OFFERS: Final = {
    offer.lookup_key: offer
    for offer in (
        _offer("free", "month", 0),
        _offer("mid", "month", 2900),
        _offer("mid", "year", 29000),
        _offer("high", "month", 9900),
        _offer("high", "year", 99000),
    )
}
SUPPORT: Final = Offer(None, None, "month", 1500, "price_1SimPrioritySupport00000", "prod_SimSupport000")
SUPPORT_YEARLY: Final = Offer(None, None, "year", 15000, "price_1SimPrioritySupportYear0", "prod_SimSupport000")

_OFFER_BY_PRICE: Final = {offer.price_id: offer for offer in (*PLAN_OFFERS.values(), SUPPORT, SUPPORT_YEARLY)}
assert len(_OFFER_BY_PRICE) == len(PLAN_OFFERS) + 2, "every price has an id of its own"


def offer_of_price(price_id: str) -> Offer:
    """The offer that the price with this id belongs to."""
    return _OFFER_BY_PRICE[price_id]


def support_for(offer: Offer) -> Offer:
    """The add-on whose interval goes with *offer*: Stripe bills all items of a subscription together."""
    return SUPPORT_YEARLY if offer.interval == "year" else SUPPORT


def price_of(offer: Offer) -> Json:
    """The price as Stripe shows it."""
    return {
        "id": offer.price_id,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": CATALOG_SINCE_SECONDS,
        "currency": "usd",
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": offer.lookup_key,
        "metadata": {"plan": offer.plan} if offer.plan else {},
        "nickname": None,
        "product": offer.product_id,
        "recurring": {
            "aggregate_usage": None,
            "interval": offer.interval,
            "interval_count": 1,
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        },
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring",
        "unit_amount": offer.amount_minor,
        "unit_amount_decimal": str(offer.amount_minor),
    }


def plan_of(offer: Offer) -> Json:
    """The legacy plan object that Stripe still shows beside the price.  It has no lookup key."""
    return {
        "id": offer.price_id,
        "object": "plan",
        "active": True,
        "aggregate_usage": None,
        "amount": offer.amount_minor,
        "amount_decimal": str(offer.amount_minor),
        "billing_scheme": "per_unit",
        "created": CATALOG_SINCE_SECONDS,
        "currency": "usd",
        "interval": offer.interval,
        "interval_count": 1,
        "livemode": False,
        "metadata": {"plan": offer.plan} if offer.plan else {},
        "meter": None,
        "nickname": None,
        "product": offer.product_id,
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }
