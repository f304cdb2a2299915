"""A story: many people's lives with their subscriptions and their money, over months of virtual time, from one seed.

Each life is a script: it acts, yields the seconds until its next act, and so on; the world plays all of them at once,
so their events come mixed, as they do at Stripe.  A configurable share of the lives holds three updates in one second.
"""

from collections.abc import Callable
from typing import Final

from simulator import lives, money_lives
from simulator.clock import DAY_SECONDS, months_after
from simulator.dice import Dice
from simulator.subscribers import Subscriber
from simulator.world import STORY_START_SECONDS, Script, World

ARRIVAL_DAYS: Final = 45

Life = Callable[[Subscriber], Script]

LIVES: Final[dict[Life, int]] = {
    lives.stays: 20,
    lives.stays_free: 10,
    lives.tries_and_stays: 14,
    lives.tries_and_leaves: 6,
    lives.tries_without_card: 4,
    lives.climbs: 12,
    lives.descends: 10,
    lives.pays_late: 10,
    lives.stops_paying: 6,
    lives.never_pays: 5,
    lives.leaves: 10,
    lives.thinks_again: 6,
    lives.quits: 5,
    lives.takes_a_break: 3,
    lives.has_two: 6,
    lives.grows: 6,
    lives.is_deleted: 4,
    money_lives.buys_credits: 10,
    money_lives.is_a_guest: 8,
    money_lives.pays_by_debit: 4,
    money_lives.checks_out: 10,
    money_lives.wants_money_back: 6,
    money_lives.quarrels: 5,
    money_lives.quarrels_over_a_plan: 4,
    money_lives.is_hasty: 4,
    money_lives.authenticates_late: 4,
    money_lives.is_billed_by_mail: 3,
    money_lives.leaves_a_deposit: 2,
    money_lives.thinks_twice_about_paying: 3,
    money_lives.changes_cards: 4,
}
"""How many of each there are, of a hundred and something."""

UNTIED: Final = frozenset(
    {
        lives.never_pays,
        money_lives.is_a_guest,
        money_lives.is_billed_by_mail,
        money_lives.is_hasty,
        money_lives.leaves_a_deposit,
        money_lives.pays_by_debit,
        money_lives.quarrels,
    }
)
"""Lives without a subscription that could change three times in one second."""


def tell(
    seed: int,
    subscribers: int,
    *,
    months: int = 4,
    tie_share: float = 0.4,
    start_seconds: int = STORY_START_SECONDS,
) -> World:
    """The world after so many months with so many subscribers; at least *tie_share* of them have their ties."""
    world = World(seed, start_seconds)
    let_arrive(world, subscribers, tie_share=tie_share)
    world.advance(months_after(start_seconds, months))
    return world


def let_arrive(world: World, subscribers: int, *, tie_share: float = 0.4) -> None:
    """Let so many subscribers arrive within the next weeks, as the clock moves."""
    unlived = list(LIVES)
    for number in range(subscribers):
        # Spread evenly and exactly, so that the share holds in every story and not only on average.
        tied = int((number + 1) * tie_share) > int(number * tie_share)
        _let_arrive(world, number, unlived, tied=tied)


def _let_arrive(world: World, number: int, unlived: list[Life], *, tied: bool) -> None:
    dice = Dice(f"{world.seed}/arrival/{number}")
    kinds = [life for life in LIVES if not tied or life not in UNTIED]
    life = dice.one_of(kinds, [LIVES[kind] for kind in kinds])
    if first := next((kind for kind in unlived if kind in kinds), None):
        life = first  # So that even a short story has every kind of life.
        unlived.remove(life)
    arrival = world.now + dice.randrange(ARRIVAL_DAYS * DAY_SECONDS)
    world.at(arrival, lambda: world.play(life(Subscriber(world, number, tied=tied))))
