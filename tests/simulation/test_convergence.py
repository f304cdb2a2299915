"""T0: from one integer a whole world in memory; whatever goes wrong in it, once it heals the books are right.

A seed that fails is named, and plays again by

    SEED=1234 SCALE=2 pytest tests/simulation -k comes_to_rest
"""

import os
from collections.abc import Sequence

import pytest

from models.stripe_events import Fact, SubscriptionSeen
from tests.simulation.support_database import Database, Taken
from tests.simulation.support_judge import judge
from tests.simulation.support_stripe import Letter
from tests.simulation.support_worker import Worker
from tests.simulation.support_world import MakeDatabase, MakeWorker, World

SEEDS_PER_TEST = 50
SEEDS = [int(os.environ["SEED"])] if "SEED" in os.environ else list(range(500))
LONG_SEEDS = range(1_000, 11_000)
SCALE = int(os.environ.get("SCALE", "2"))
LONG_SCALE = 9
"""Some forty facts a world, and some two hundred."""

SABOTAGE_SEEDS = range(60)


def blocks(seeds: Sequence[int]) -> list[Sequence[int]]:
    return [seeds[start : start + SEEDS_PER_TEST] for start in range(0, len(seeds), SEEDS_PER_TEST)]


def play(seed: int, scale: int = 1, **parts: object) -> World:
    """Live, heal, judge; a failure names the seed that plays it again."""
    played = World(seed, scale, **parts)  # type: ignore[arg-type]  # Each sabotage replaces one part.
    try:
        played.live()
        played.heal()
        judge(played)
    except Exception as why:
        why.add_note(
            f"Play it again: SEED={seed} SCALE={scale} pytest tests/simulation -k comes_to_rest  ({played.ranges})"
        )
        raise
    return played


def play_all(seeds: Sequence[int], scale: int = 1, **parts: object) -> None:
    for seed in seeds:
        play(seed, scale, **parts)


@pytest.mark.parametrize("seeds", blocks(SEEDS), ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_a_world_that_heals_comes_to_rest_with_the_books_right(seeds: Sequence[int]) -> None:
    play_all(seeds, scale=SCALE)


@pytest.mark.long
@pytest.mark.parametrize("seeds", blocks(LONG_SEEDS), ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_ten_thousand_larger_worlds_come_to_rest_with_the_books_right(seeds: Sequence[int]) -> None:
    play_all(seeds, scale=LONG_SCALE)


def test_a_seed_plays_again_to_the_letter() -> None:
    first, second = play(7), play(7)

    assert first.database.tables == second.database.tables
    assert first.relay.published == second.relay.published


def test_the_weather_is_bad_enough() -> None:
    """What the worlds went through: if faults got rare, a green run would say less than it seems to."""
    worlds = [play(seed) for seed in range(40)]
    copies = sum(len(world.broker.messages) for world in worlds)
    facts = sum(len({letter.identity for letter in world.broker.messages}) for world in worlds)

    assert sum(worker.crash_count for world in worlds for worker in world.workers) >= 100
    assert copies >= 1.2 * facts
    assert sum(len(world.database.tables.parked) for world in worlds) >= 10
    assert sum(len(world.relay.published) - len(world.database.tables.outbox) for world in worlds) >= 20


# Sabotage: the judge must see these, else it judges nothing.


class NoInbox(Database):
    def claim(self, batch: Sequence[Taken]) -> list[Letter]:
        return [taken.letter for taken in batch]


class NoPosition(Database):
    def check(self, batch: Sequence[Taken]) -> None:
        """Takes whatever comes."""


class CommitBeforeSave(Database):
    def commit(self, batch: Sequence[Taken], fresh: Sequence[Letter]) -> None:
        """The inbox and the position are in, the books sometimes are not."""
        super().commit(batch, fresh if self._chance.random() < 0.9 else [])
        self.tables.inbox.update(letter.identity for letter in fresh)


class SwallowsTrouble(Database):
    def commit(self, batch: Sequence[Taken], fresh: Sequence[Letter]) -> None:
        super().commit(batch, [letter for letter in fresh if letter.fact is not None])


class OutboxAfterCommit(Database):
    def commit(self, batch: Sequence[Taken], fresh: Sequence[Letter]) -> None:
        said = len(self.tables.outbox)
        super().commit(batch, fresh)
        if self._chance.random() < 0.1:
            del self.tables.outbox[said:]


class ForgetsWhatIsOld(Database):
    """`created <`: a fact no newer than the newest one is dropped."""

    def commit(self, batch: Sequence[Taken], fresh: Sequence[Letter]) -> None:
        super().commit(batch, [letter for letter in fresh if not self._is_old(letter.fact)])
        self.tables.inbox.update(letter.identity for letter in fresh)

    def _is_old(self, fact: Fact | None) -> bool:
        if fact is None or not isinstance(fact.body, SubscriptionSeen):
            return False
        line = self.tables.shelf.lines.whole(fact.body.after.subscription_id)
        return bool(line) and fact.envelope.occurred_at <= line[-1].occurred_at


class AcknowledgesEarly(Worker):
    """Moves on before the books have it, and trusts what Kafka remembers."""

    def _fetch(self) -> list[Taken]:
        batch = super()._fetch()
        for taken in batch:
            self._next[taken.partition] = taken.offset + 1
        return batch


LOST_OR_MISSING = "not one version for each snapshot|is lost"


@pytest.mark.parametrize(
    ("parts", "seen_as"),
    [
        pytest.param({"make_database": NoInbox}, "heard twice", id="no inbox"),
        pytest.param(
            {"make_database": NoPosition, "make_worker": AcknowledgesEarly}, LOST_OR_MISSING, id="acknowledge early"
        ),
        pytest.param({"make_database": CommitBeforeSave}, LOST_OR_MISSING, id="commit before save"),
        pytest.param({"make_database": SwallowsTrouble}, "an accepted fact is lost", id="swallow an exception"),
        pytest.param({"make_database": OutboxAfterCommit}, "a reader sees a gap", id="outbox after commit"),
        pytest.param({"make_database": ForgetsWhatIsOld}, LOST_OR_MISSING, id="created <"),
    ],
)
def test_a_sabotaged_world_is_seen(parts: dict[str, MakeDatabase | MakeWorker], seen_as: str) -> None:
    with pytest.raises(AssertionError, match=seen_as):
        play_all(SABOTAGE_SEEDS, 1, **parts)
