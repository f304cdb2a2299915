"""What is sold: plans with their prices, and packs of credits.  Read from `deploy/catalog.yaml`.

A price of Stripe's is found by its `lookup_key`; else by its id, where the catalog names it; else by the plan that the
price's or product's metadata names, together with the billing interval.
"""

from collections.abc import Iterable
from enum import StrEnum
from functools import cached_property
from typing import Annotated, NamedTuple, Self

from pydantic import ConfigDict, Field, model_validator

from models.base import Identifier, Model
from models.money import Currency, MinorUnits


class Interval(StrEnum):
    """How often a plan is billed; Stripe's `recurring.interval`."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class PlanPrice(Model):
    """One way to pay for a plan."""

    lookup_key: Identifier
    interval: Interval
    amount_minor: Annotated[MinorUnits, Field(ge=0)]
    price_ids: tuple[Identifier, ...] = ()  # Stripe's prices that carry no lookup key, old ones mostly.


class Plan(Model):
    """A thing one subscribes to.  Plans are listed from the smallest to the largest."""

    plan: Identifier
    name: str
    prices: Annotated[tuple[PlanPrice, ...], Field(min_length=1)]


class Pack(Model):
    """Credits to be bought once."""

    pack: Identifier  # Also the price's lookup key.
    credits: Annotated[int, Field(strict=True, gt=0)]
    amount_minor: Annotated[MinorUnits, Field(gt=0)]


class Offer(Model):
    """What the catalog knows of one price: the plan it sells and by which lookup key."""

    plan: Identifier
    lookup_key: Identifier
    interval: Interval


class Terms(NamedTuple):
    """For how much, and how often.  `interval` is None for what is bought once."""

    amount_minor: int
    currency: str
    interval: str | None


class Catalog(Model):
    """Everything on sale, in one currency.  Two entries never claim the same price."""

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))

    currency: Currency
    plans: Annotated[tuple[Plan, ...], Field(min_length=1)]
    packs: tuple[Pack, ...] = ()

    @model_validator(mode="after")
    def _says_everything_once(self) -> Self:
        _once("plan", (plan.plan for plan in self.plans))
        _once("lookup key", (*(price.lookup_key for _, price in self._prices()), *(pack.pack for pack in self.packs)))
        _once("price id", (price_id for _, price in self._prices() for price_id in price.price_ids))
        _once("plan and interval", (f"{plan.plan} by {price.interval}" for plan, price in self._prices()))
        return self

    def offer(
        self, *, lookup_key: str | None, price_id: str, plan_hint: str | None, interval: str | None
    ) -> Offer | None:
        """What a price of Stripe's sells; None when it is not of this catalog.

        *plan_hint* is `metadata.plan` of the price, else of its product.
        """
        return (
            self._by_lookup_key.get(lookup_key or "")
            or self._by_price_id.get(price_id)
            or self._by_plan_and_interval.get((plan_hint, interval))
        )

    def terms(self, lookup_key: str) -> Terms | None:
        """On which terms the catalog sells under a lookup key; None when it sells nothing under it."""
        return self._terms_by_lookup_key.get(lookup_key)

    def _prices(self) -> Iterable[tuple[Plan, PlanPrice]]:
        return ((plan, price) for plan in self.plans for price in plan.prices)

    @cached_property
    def _by_lookup_key(self) -> dict[str, Offer]:
        return {price.lookup_key: _offer(plan, price) for plan, price in self._prices()}

    @cached_property
    def _terms_by_lookup_key(self) -> dict[str, Terms]:
        plans = {
            price.lookup_key: Terms(price.amount_minor, self.currency, price.interval) for _, price in self._prices()
        }
        return plans | {pack.pack: Terms(pack.amount_minor, self.currency, None) for pack in self.packs}

    @cached_property
    def _by_price_id(self) -> dict[str, Offer]:
        return {price_id: _offer(plan, price) for plan, price in self._prices() for price_id in price.price_ids}

    @cached_property
    def _by_plan_and_interval(self) -> dict[tuple[str | None, str | None], Offer]:
        return {(plan.plan, price.interval.value): _offer(plan, price) for plan, price in self._prices()}


def _offer(plan: Plan, price: PlanPrice) -> Offer:
    return Offer(plan=plan.plan, lookup_key=price.lookup_key, interval=price.interval)


def _once(what: str, names: Iterable[str]) -> None:
    listed = list(names)
    twice = sorted({name for name in listed if listed.count(name) > 1})
    if twice:
        raise ValueError(f"each {what} stands once in the catalog; twice: {', '.join(twice)}")
