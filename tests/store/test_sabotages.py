"""Tests of the tests: each way of building this pipeline wrongly turns the test that is named for it red.

The switches are in here and nowhere in the product.  What is not the store's to get wrong (acknowledging early, money,
requests to Stripe) is sabotaged where it is.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from msgspec import structs

from models import customers, lines, subscriptions
from models.subscriptions import Line, Version
from runtime.failures import Stop
from store import apply, inbox, outbox, positions
from store.intake import Gap, Intake
from store.postgres import Connection
from tests.store import test_contracts, test_order, test_outbox, test_poison, test_positions
from tests.support_store import Bench

RED = (AssertionError, Stop, psycopg.Error, pytest.fail.Exception)
ENDS = test_contracts.CASES["a subscription ends"]


@dataclass(frozen=True, slots=True)
class Sabotage:
    """A wrong way of building it, and the test that must notice."""

    commit: Callable[[pytest.MonkeyPatch], None]
    noticed_by: Callable[[Bench], Awaitable[None]]


def no_inbox(patch: pytest.MonkeyPatch) -> None:
    """Everything is new."""

    class Everything(set[Any]):
        def __contains__(self, _one: object) -> bool:
            return True

    async def all_of_them(_claimed: object) -> set[Any]:
        return Everything()

    patch.setattr(inbox, "read_claimed", all_of_them)


def no_position_kept(patch: pytest.MonkeyPatch) -> None:
    kept = "next_offset = taken.next_offset"
    assert kept in positions.TAKE
    patch.setattr(positions, "TAKE", positions.TAKE.replace(kept, "next_offset = position.next_offset"))


def no_position_looked_at(patch: pytest.MonkeyPatch) -> None:
    async def anywhere(_locked: object, spans: dict[Any, Any], _holes: object) -> dict[Any, int]:
        return dict.fromkeys(spans, 0)

    patch.setattr(positions, "check", anywhere)


def _committing_before(step: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def early(connection: Connection, *args: Any) -> None:
        await connection.execute("COMMIT")
        await connection.execute("BEGIN")
        await step(connection, *args)

    return early


def commit_before_save(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(apply, "_save", _committing_before(apply._save))


def outbox_after_commit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outbox, "write", _committing_before(outbox.write))


def relay_by_cursor(patch: pytest.MonkeyPatch) -> None:
    sent = "NOT EXISTS (SELECT FROM unsent_events AS unsent WHERE unsent.outbox_id = outbox.outbox_id)"
    beyond = f"outbox_id > (SELECT coalesce(max(outbox_id), 0) FROM outbox WHERE {sent}) AND"
    patch.setattr(outbox, "UNSENT", outbox.UNSENT.replace("WHERE", f"WHERE {beyond}", 1))


def swallow_an_exception(patch: pytest.MonkeyPatch) -> None:
    async def deaf(self: Intake, records: Sequence[Any], holes: frozenset[Any]) -> None:
        with suppress(Exception):
            await self._with_retries(records, holes, trouble=None)

    patch.setattr(Intake, "_take_halving", deaf)


def no_tombstone_of_a_customer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(customers, "_deleted", lambda before, _heard: before)


def no_tombstone_of_a_subscription(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(subscriptions, "ENDS", frozenset())


def _in_the_order_of(arrival: Callable[[Sequence[Version]], Sequence[Version]]) -> Callable[..., tuple[Line, bool]]:
    """Within a second, arrival decides."""

    def in_order(members: Sequence[Version], _start: Version | None) -> tuple[Line, bool]:
        return tuple(structs.replace(version, ordinal=place) for place, version in enumerate(arrival(members))), False

    return in_order


def created_less(patch: pytest.MonkeyPatch) -> None:
    """`created <`: of one second, the first that came is the present."""
    patch.setattr(lines, "_in_order", _in_the_order_of(lambda members: [members[-1], *members[:-1]]))


def created_less_or_equal(patch: pytest.MonkeyPatch) -> None:
    """`created <=`: of one second, the last that came is the present."""
    patch.setattr(lines, "_in_order", _in_the_order_of(lambda members: members))


async def delivered_twice(bench: Bench) -> None:
    await test_contracts.test_delivered_twice_counts_once(bench, ENDS)


async def dying_at_any_statement(bench: Bench) -> None:
    await test_contracts.test_dying_at_any_statement_leaves_nothing_behind(bench, ENDS)


async def a_gap(bench: Bench) -> None:
    await test_positions.test_a_gap_where_facts_were_stops_the_process(bench, Gap.LOST, missing=0)


async def a_recreated_topic(bench: Bench) -> None:
    await test_positions.test_an_unknown_fact_below_the_position_means_that_the_topic_was_recreated(bench)


async def poison(bench: Bench) -> None:
    await test_poison.test_poison_is_parked_with_the_later_facts_of_its_account_and_others_go_on(
        bench, test_poison.refused_on_saving, batch=3
    )


async def any_order(bench: Bench) -> None:
    await test_order.test_any_order_of_arrival_ends_in_the_same_books(bench, seed=0)


SABOTAGES = {
    "no inbox": Sabotage(no_inbox, delivered_twice),
    "no position kept": Sabotage(
        no_position_kept, test_positions.test_a_known_partition_is_read_on_from_where_the_books_are
    ),
    "no position looked at: a gap": Sabotage(no_position_looked_at, a_gap),
    "no position looked at: a recreated topic": Sabotage(no_position_looked_at, a_recreated_topic),
    "commit before save": Sabotage(commit_before_save, dying_at_any_statement),
    "outbox after commit": Sabotage(outbox_after_commit, dying_at_any_statement),
    "relay by cursor": Sabotage(relay_by_cursor, test_outbox.test_an_id_that_commits_after_a_larger_one_is_not_skipped),
    "swallow an exception": Sabotage(swallow_an_exception, poison),
    "no tombstone of a customer": Sabotage(
        no_tombstone_of_a_customer, test_order.test_a_deleted_customer_leaves_a_tombstone_whatever_comes_later
    ),
    "no tombstone of a subscription": Sabotage(
        no_tombstone_of_a_subscription, test_order.test_what_has_ended_stays_ended
    ),
    "created <": Sabotage(created_less, any_order),
    "created <=": Sabotage(created_less_or_equal, any_order),
}


@pytest.mark.parametrize("sabotage", SABOTAGES.values(), ids=SABOTAGES.keys())
async def test_a_sabotage_turns_its_named_test_red(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, sabotage: Sabotage
) -> None:
    sabotage.commit(monkeypatch)

    with pytest.raises(RED):
        await sabotage.noticed_by(bench)
