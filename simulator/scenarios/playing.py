"""The player: everybody of a scenario in one pretend Stripe, its clock moved from one person's step to the next."""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from simulator.catalog import PACKS, PLAN_OFFERS
from simulator.clock import DAY_SECONDS
from simulator.dice import Dice
from simulator.happenings import Json
from simulator.scenarios.people import CODE, Person, Shop
from simulator.scenarios.stage import Declined, Stage
from simulator.scenarios.steps import Scenario, Step


@dataclass(frozen=True, slots=True)
class Hour:
    """How far the play has come."""

    begin: int
    now: int
    end: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return (self.now - self.begin) / (self.end - self.begin)


@dataclass(order=True, slots=True)
class _Turn:
    """Whose turn is next, and with which step."""

    moment: int
    number: int
    step: int
    person: Person = field(compare=False)
    steps: tuple[Step, ...] = field(compare=False)


class Player:
    """Plays one scenario."""

    def __init__(self, scenario: Scenario, stage: Stage, seed: int) -> None:
        self._scenario = scenario
        self._stage = stage
        self._seed = seed
        self._turns: list[_Turn] = []

    async def play(self, subscribers: int, days: int, on_hour: Callable[[Hour], None] = lambda _: None) -> Counter[str]:
        """Play it with so many people, for so long; how often each thing was done."""
        begin = await self._stage.now()
        end = begin + days * DAY_SECONDS
        shop = Shop(self._stage, await stocked(self._stage))
        self._arrive(shop, subscribers, begin)
        while self._turns and self._turns[0].moment <= end:
            turn = heapq.heappop(self._turns)
            await self._until(turn.moment, Hour(begin, turn.moment, end), on_hour)
            await self._step(turn)
        await self._days_until(end, begin, on_hour)
        return shop.tally

    def _arrive(self, shop: Shop, subscribers: int, begin: int) -> None:
        dice = Dice(f"{self._seed}/arrivals")
        lives = list(self._scenario.lives.values())
        unlived = list(lives)  # So that even a short play has every life.
        for number in range(subscribers):
            life = unlived.pop(0) if unlived else dice.one_of(lives, [one.share for one in lives])
            moment = begin + dice.randint(*self._scenario.arrive)
            heapq.heappush(self._turns, _Turn(moment, number, 0, Person(shop, self._seed, number), life.steps))

    async def _step(self, turn: _Turn) -> None:
        """Do all until the next wait, and come back after it."""
        for index in range(turn.step, len(turn.steps)):
            step = turn.steps[index]
            if step.wait is not None:
                moment = turn.moment + turn.person.dice.randint(*step.wait)
                heapq.heappush(self._turns, _Turn(moment, turn.number, index + 1, turn.person, turn.steps))
                return
            await turn.person.take(step)

    async def _until(self, moment: int, hour: Hour, on_hour: Callable[[Hour], None]) -> None:
        await self._stage.pretend("advance", to=moment)
        on_hour(hour)

    async def _days_until(self, end: int, begin: int, on_hour: Callable[[Hour], None]) -> None:
        """Day by day to the end."""
        while (now := await self._stage.now()) < end:
            moment = min(now + DAY_SECONDS, end)
            await self._until(moment, Hour(begin, moment, end), on_hour)


async def stocked(stage: Stage) -> dict[str, str]:
    """The ids of the prices, by lookup key; what is not sold yet is put on sale."""
    found: dict[str, str] = {}
    for lookup_key, terms in _catalog().items():
        listed = await stage.ask("get", "/v1/prices", lookup_keys=[lookup_key], active=True)
        if listed["data"]:
            found[lookup_key] = listed["data"][0]["id"]
        else:
            made = await stage.ask("post", "/v1/prices", lookup_key=lookup_key, **terms)
            found[lookup_key] = made["id"]
    try:
        coupon = await stage.ask(
            "post", "/v1/coupons", percent_off=25, duration="repeating", duration_in_months=3, name="A quarter off"
        )
        await stage.ask("post", "/v1/promotion_codes", promotion={"type": "coupon", "coupon": coupon["id"]}, code=CODE)
    except Declined:  # Another play in this world made it.
        return found
    return found


def _catalog() -> dict[str, Json]:
    plans: dict[str, Json] = {
        lookup_key: {
            "currency": "usd",
            "unit_amount": offer.amount_minor,
            "recurring": {"interval": offer.interval},
            "product_data": {"name": offer.product_name, "metadata": {"plan": offer.plan}},
            "metadata": {"plan": offer.plan},
        }
        for lookup_key, offer in PLAN_OFFERS.items()
    }
    packs: dict[str, Json] = {
        lookup_key: {
            "currency": "usd",
            "unit_amount": pack.amount_minor,
            "product_data": {"name": f"{pack.credits} credits"},
        }
        for lookup_key, pack in PACKS.items()
    }
    return plans | packs
