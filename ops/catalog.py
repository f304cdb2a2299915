"""The catalog (`deploy/catalog.yaml`) against Stripe's products and prices, and the way from one to the other.

A price of Stripe's is found by its lookup key, and its terms never change: other terms are another price, to which the
key moves, and who pays the old one goes on paying it.  Nothing is ever deleted or taken off sale.  What is on sale and
not in the catalog is named, and a person decides.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, Final

from pydantic import BaseModel

from models.catalog import Catalog, Pack, Plan, PlanPrice
from models.money import Money
from runtime.stripe_client import Answer, Asking, Cause, StripeClient, Urgency, Write, path

PRODUCTS: Final = path("products")
PRICES: Final = path("prices")
A_PERSON: Final = Asking(Urgency.PERSON, within_seconds=60.0)


class Do(StrEnum):
    """What has to happen to a thing."""

    CREATE = "create"
    REPLACE = "replace"  # A price by one with other terms, which takes over its lookup key.
    UPDATE = "update"
    DECIDE = "decide"  # By a person: we never take away.


class _Theirs(BaseModel, frozen=True, extra="ignore"):
    """What we read of a thing of Stripe's."""

    id: str
    active: bool
    metadata: dict[str, str]


class Product(_Theirs):
    """A product as Stripe has it."""

    name: str
    updated: int


class Recurring(BaseModel, frozen=True, extra="ignore"):
    """How often a price of Stripe's is billed."""

    interval: str
    interval_count: int = 1


class Price(_Theirs):
    """A price as Stripe has it.  `unit_amount` is None where it has tiers or fractions: nothing of ours has."""

    product: str
    currency: str
    unit_amount: int | None
    lookup_key: str | None
    recurring: Recurring | None

    @property
    def terms(self) -> "Terms":
        """What can never be changed of it."""
        often = self.recurring
        interval = None if often is None else (often.interval, often.interval_count)
        return Terms(self.currency, self.unit_amount, interval)


@dataclass(frozen=True, slots=True)
class Terms:
    """For how much and how often a price sells."""

    currency: str
    amount_minor: int | None
    interval: tuple[str, int] | None

    def __str__(self) -> str:
        if self.amount_minor is None:
            return "by tiers"
        amount = f"{Money(minor=self.amount_minor, currency=self.currency).major} {self.currency}"
        match self.interval:
            case None:
                return f"{amount} once"
            case (interval, 1):
                return f"{amount} a {interval}"
            case (interval, times):
                return f"{amount} every {times} {interval}s"


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that Stripe has."""

    products: tuple[Product, ...]
    prices: tuple[Price, ...]

    def holder(self, lookup_key: str) -> Price | None:
        """The price that has a lookup key: there is never more than one."""
        return next((price for price in self.prices if price.lookup_key == lookup_key), None)


@dataclass(frozen=True, slots=True)
class WantedPrice:
    """A price as the catalog has it."""

    lookup_key: str
    terms: Terms


@dataclass(frozen=True, slots=True)
class WantedProduct:
    """A plan or a pack as Stripe should have it; the metadata is that of its prices too."""

    id: str
    name: str
    metadata: Mapping[str, str]
    prices: tuple[WantedPrice, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, why, and the request that does it.  `before` is what was found of the thing."""

    do: Do
    thing: str
    why: str
    path: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    before: Any = None

    def shown(self) -> dict[str, str]:
        """What a person decides by."""
        return {"do": self.do.value, "thing": self.thing, "why": self.why}

    def cause(self, planned_at: datetime) -> Cause:
        """The step's own name at Stripe: its content, and what it was to change.

        What is made is made once however often it is asked for; what sets a thing to what it should be may be asked for
        again when somebody has set it otherwise meanwhile, so that its name is the plan's, too.
        """
        told = [self.path, self.params, self.before, planned_at.isoformat() if self.do is Do.UPDATE else None]
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        return Cause(f"catalog.{self.do}", digest)


def wanted(catalog: Catalog) -> tuple[WantedProduct, ...]:
    """The catalog in Stripe's words."""
    plans = (_plan(plan, catalog.currency) for plan in catalog.plans)
    return (*plans, *(_pack(pack, catalog.currency) for pack in catalog.packs))


def plan(catalog: Catalog, found: Found) -> tuple[Step, ...]:
    """What has to happen, in the order in which it can; empty when Stripe sells what the catalog does."""
    products = wanted(catalog)
    theirs = {product.id: _theirs(product, found) for product in products}
    steps = [step for product in products for step in _steps(product, theirs[product.id], found)]
    known = {product.id for product in theirs.values() if product is not None}
    return (*steps, *_strangers(products, known, found))


def _plan(plan: Plan, currency: str) -> WantedProduct:
    return WantedProduct(
        id=f"plan_{plan.plan}",
        name=plan.name,
        metadata={"plan": plan.plan},
        prices=tuple(WantedPrice(price.lookup_key, _terms(price, currency)) for price in plan.prices),
    )


def _terms(price: PlanPrice, currency: str) -> Terms:
    return Terms(currency, price.amount_minor, (price.interval.value, 1))


def _pack(pack: Pack, currency: str) -> WantedProduct:
    return WantedProduct(
        id=f"pack_{pack.pack}",
        name=f"{pack.credits} credits",
        metadata={"kind": "credits", "pack": pack.pack, "credits": str(pack.credits)},
        prices=(WantedPrice(pack.pack, Terms(currency, pack.amount_minor, None)),),
    )


def _theirs(product: WantedProduct, found: Found) -> Product | None:
    """Stripe's product for ours: by the id that we give, else by what its prices sell, else by what it says it is."""
    by_id = {one.id: one for one in found.products}
    holders = [price for wanted in product.prices if (price := found.holder(wanted.lookup_key)) is not None]
    ids = [product.id, *(price.product for price in holders)]
    said = next((one for one in found.products if product.metadata.items() <= one.metadata.items()), None)
    return next((by_id[one] for one in ids if one in by_id), said)


def _steps(product: WantedProduct, theirs: Product | None, found: Found) -> Iterator[Step]:
    if theirs is None:
        params = {"id": product.id, "name": product.name, "metadata": dict(product.metadata)}
        yield Step(Do.CREATE, f"product {product.id}", product.name, PRODUCTS, params)
    else:
        yield from _product_update(product, theirs)
    product_id = theirs.id if theirs else product.id
    for price in product.prices:
        yield from _price_steps(price, product_id, product.metadata, found.holder(price.lookup_key))


def _product_update(product: WantedProduct, theirs: Product) -> Iterator[Step]:
    changes: dict[str, Any] = {}
    why = []
    if theirs.name != product.name:
        changes["name"] = product.name
        why.append(f"{theirs.name} → {product.name}")
    if not theirs.active:
        changes["active"] = True
        why.append("not on sale → on sale")
    if missing := _missing(product.metadata, theirs):
        changes["metadata"] = missing
        why.append(_words(missing))
    if changes:
        where = path("products", theirs.id)
        yield Step(Do.UPDATE, f"product {theirs.id}", ", ".join(why), where, changes, theirs.updated)


def _price_steps(
    price: WantedPrice, product_id: str, metadata: Mapping[str, str], holder: Price | None
) -> Iterator[Step]:
    thing = f"price {price.lookup_key}"
    if holder is None:
        yield Step(Do.CREATE, thing, str(price.terms), PRICES, _new_price(price, product_id, metadata))
    elif holder.terms != price.terms:
        params = _new_price(price, product_id, metadata) | {"transfer_lookup_key": True}
        why = f"{holder.terms} → {price.terms}"
        yield Step(Do.REPLACE, thing, why, PRICES, params, holder.id)
    else:
        yield from _price_update(thing, metadata, holder)


def _new_price(price: WantedPrice, product_id: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    terms = price.terms
    often = {"recurring": {"interval": terms.interval[0]}} if terms.interval else {}
    return {
        "product": product_id,
        "currency": terms.currency,
        "unit_amount": terms.amount_minor,
        "lookup_key": price.lookup_key,
        "metadata": dict(metadata),
        **often,
    }


def _price_update(thing: str, metadata: Mapping[str, str], holder: Price) -> Iterator[Step]:
    missing = _missing(metadata, holder)
    changes = ({"metadata": missing} if missing else {}) | ({} if holder.active else {"active": True})
    if changes:
        why = ", ".join(filter(None, (_words(missing), "" if holder.active else "not on sale → on sale")))
        yield Step(Do.UPDATE, thing, why, path("prices", holder.id), changes, holder.metadata)


def _missing(metadata: Mapping[str, str], theirs: _Theirs) -> dict[str, str]:
    """What should be said of a thing and is not; what others say of it is theirs."""
    return {name: value for name, value in metadata.items() if theirs.metadata.get(name) != value}


def _words(metadata: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in metadata.items())


def _strangers(products: Sequence[WantedProduct], known: set[str], found: Found) -> Iterator[Step]:
    """What is on sale and not in the catalog.  An old price of a product of ours has no key any more: it is history."""
    for product in found.products:
        if product.active and product.id not in known:
            yield Step(Do.DECIDE, f"product {product.id}", f"{product.name} is not in the catalog")
    keys = {price.lookup_key for product in products for price in product.prices}
    for price in found.prices:
        if price.active and price.product in known and price.lookup_key not in {None, *keys}:
            why = f"{price.terms} is not in the catalog"
            yield Step(Do.DECIDE, f"price {price.lookup_key}", why)


class Shelf:
    """What one Stripe account sells."""

    def __init__(self, stripe: StripeClient) -> None:
        self._stripe = stripe

    async def found(self) -> Found:
        """All of it, on sale or not: a price that is not may hold a lookup key."""
        products = [Product.model_validate(one) async for one in self._all(PRODUCTS)]
        prices = [Price.model_validate(one) async for one in self._all(PRICES)]
        return Found(tuple(products), tuple(prices))

    async def carry_out(self, step: Step, planned_at: datetime) -> None:
        """Do a step, once.  Raises StripeTrouble; then it may be planned anew."""
        assert step.do is not Do.DECIDE, "a person decides that"
        write = Write(step.path, step.params, step.cause(planned_at))
        await self._stripe.write(write, partial(self._look, step), A_PERSON)

    async def _look(self, step: Step) -> Answer | None:
        """Whether what a step makes is there.  What it sets may be set again, to no harm."""
        if step.do is Do.UPDATE:
            return None
        name, value = ("id", step.params["id"]) if step.path == PRODUCTS else ("lookup_key", step.params["lookup_key"])
        async for one in self._all(step.path):
            if one[name] == value and one["id"] != step.before:
                return await self._stripe.read(path(step.path.removeprefix("/v1/"), one["id"]), asking=A_PERSON)
        return None

    def _all(self, where: str) -> AsyncIterator[dict[str, Any]]:
        return self._stripe.each(where, {}, A_PERSON)
