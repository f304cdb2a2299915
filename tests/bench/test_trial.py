"""A trial says what happened, and says so when something did that should not have."""

import os
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from bench import servers, watch
from bench.answers import NO_ANSWER, Answers
from bench.cost import Cost
from bench.evidence import Evidence, InBooks, judge, most_behind, quantiles
from bench.run import run_trial
from bench.sides import BARE_DATABASE, SIDES, Ground, on_ground
from bench.trial import Load, Mix
from ops.local import java
from ops.local.postgres import DATABASE, Role
from ops.local.stack import Stack

LOAD = Load(None, events=2_000, connections=8, warmup_events=20)
ROWS = (
    *("inbox", "customers", "accounts", "subscriptions", "subscription_versions", "journal", "stripe_objects"),
    *("stripe_object_versions", "payments", "waiting_facts"),
)


def evidence(**changes: Any) -> Evidence:
    """Two events and a copy of the first, all as it should be; and what is different about it."""
    answers = Answers(
        events=array("q", [0, 1, 0]),
        copies=array("b", [0, 0, 1]),
        due=array("d", [10.0, 10.5, 11.0]),
        answered=array("d", [10.1, 10.6, 11.1]),
        statuses=array("H", [200, 200, 200]),
        fact_ids=["evt_a", "evt_b"],
    )
    usual = Evidence(
        side="ours",
        load=Load(2.0, events=2, connections=1, duplicate_share=0.5),
        answers=answers,
        arrived=3,
        in_books=InBooks({"evt_a": 10.3, "evt_b": 12.5}, kept=2, parked=0, to_say=1, said=1, said_at=12.75),
        before=Cost({"books": 1.0, "load": 1.0}, {"books": 50.0}),
        after=Cost({"books": 1.5, "load": 1.25}, {"books": 60.0}),
    )
    return replace(usual, **changes)


def with_statuses(*statuses: int) -> Answers:
    return replace(evidence().answers, statuses=array("H", statuses))


def with_books(**changes: Any) -> InBooks:
    books = evidence().in_books
    assert books is not None
    return replace(books, **changes)


def test_a_trial_counts_events_once_and_takes_their_time_from_when_they_were_due() -> None:
    trial = judge(evidence())

    assert trial.problems == []
    assert (trial.accepted, trial.committed, trial.duplicates, trial.said) == (2, 2, 1, 1)
    assert trial.statuses == {"200": 3}
    assert trial.seconds == {"accepted": 1.1, "committed": 2.5, "said": 2.75}
    assert (trial.answer_ms.n, trial.answer_ms.max) == (3, 100.0)
    assert (trial.commit_ms.n, trial.commit_ms.p50, trial.commit_ms.max) == (2, 2000.0, 2000.0)
    assert trial.cpu_us_per_event == {"books": 250_000.0, "load": 125_000.0}
    assert trial.rss_mb == {"books": (50.0, 60.0)}
    assert trial.behind_max == 1


def test_a_door_alone_commits_nothing_and_that_is_no_problem() -> None:
    trial = judge(evidence(in_books=None))

    assert trial.problems == []
    assert (trial.accepted, trial.committed, trial.said) == (2, 0, 0)
    assert trial.seconds == {"accepted": 1.1}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"arrived": 2}, "3 requests were accepted, and 2 messages came"),
        ({"arrived": 4}, "3 requests were accepted, and 4 messages came"),
        ({"answers": with_statuses(200, 503, 200)}, "1 of 2 events were accepted"),
        ({"answers": with_statuses(200, 200, 503)}, "'503': 1"),
        ({"answers": with_statuses(200, NO_ANSWER, 200)}, "'none': 1"),
        ({"in_books": with_books(committed_at={"evt_a": 10.3})}, "2 events were accepted, and 1 committed"),
        ({"in_books": with_books(committed_at={"evt_a": 10.3, "evt_b": None})}, "and 1 committed"),
        ({"in_books": with_books(committed_at={"evt_a": 10.3, "evt_c": 10.3})}, "and 1 committed"),
        ({"in_books": with_books(kept=3)}, "3 facts were kept for 2 events"),
        ({"in_books": with_books(parked=1)}, "1 facts were parked"),
        ({"in_books": with_books(said=0)}, "1 events were to be said, and 0 were"),
        ({"in_books": with_books(said=2)}, "1 events were to be said, and 2 were"),
        ({"problems": ["books ended"]}, "books ended"),
    ],
)
def test_what_should_not_have_been_is_a_problem(changes: dict[str, Any], told: str) -> None:
    assert told in "\n".join(judge(evidence(**changes)).problems)


def test_an_event_whose_first_request_failed_is_accepted_with_its_copy() -> None:
    trial = judge(evidence(answers=with_statuses(503, 200, 200), arrived=2))

    assert trial.accepted == 2
    assert trial.committed == 2
    assert len(trial.problems) == 1


def test_quantiles_are_of_the_values_that_were_seen() -> None:
    seen = quantiles([float(value) for value in range(1_000)])

    assert (seen.n, seen.p50, seen.p90, seen.p99, seen.p999, seen.max) == (1_000, 500, 900, 990, 999, 999)
    assert quantiles([]).n == 0


def test_the_most_behind_is_what_had_piled_up_at_the_worst_moment() -> None:
    assert most_behind([1, 2, 3, 10], [4, 5, 6, 11]) == 3
    assert most_behind([], []) == 0


@pytest.fixture
async def ground(stack_factory: Callable[..., Awaitable[Stack]]) -> AsyncIterator[Ground]:
    ground = Ground(await stack_factory(names=(), postgres_settings={"track_commit_timestamp": "on"}))
    await ground.prepare()
    yield ground  # noqa: PT022  # The stack's own factory ends it, after us.


def rows(ground: Ground, database: str) -> dict[str, int]:
    with psycopg.connect(ground.stack.postgres.url(Role.OWNER, database)) as connection:
        counted = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ROWS}
    return {table: row[0] for table, row in counted.items() if row}


@pytest.mark.e2e
@pytest.mark.parametrize("mix", Mix)
async def test_every_side_takes_a_load_without_problems_and_the_whole_ones_make_the_same_rows(
    ground: Ground, mix: Mix
) -> None:
    load = replace(LOAD, mix=mix)
    trials = {name: await run_trial(ground.side(name), load) for name in ("bare", "ours")}
    doors = {
        name: await run_trial(ground.side(name), replace(load, events=200)) for name in SIDES if name not in trials
    }

    for name, trial in (trials | doors).items():
        assert trial.problems == [], name
        assert (trial.accepted, trial.duplicates) == (trial.load.events, trial.load.events / 10), name
        assert trial.cpu_us_per_event["ingress"] > 0, name
    assert {trial.committed for trial in trials.values()} == {load.events}
    ours, bare = rows(ground, DATABASE), rows(ground, BARE_DATABASE)
    waiting = ours.pop("waiting_facts")  # Bare lets nobody wait: it has an account for none of these either.
    assert trials["ours"].waiting <= waiting <= 0.02 * load.events, "one of the warmup may wait, too"
    assert 0 <= bare["payments"] - ours.pop("payments") <= waiting
    late = {"journal": waiting, "stripe_object_versions": waiting}
    assert {table: count + late.get(table, 0) for table, count in ours.items()} == {of: bare[of] for of in ours}
    assert abs(trials["ours"].said - trials["bare"].said) <= 0.05 * trials["bare"].said


@pytest.mark.e2e
async def test_an_event_is_committed_when_the_server_says_so_and_not_when_somebody_looks(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL_SECONDS", 2.0)
    load = replace(LOAD, rate_per_second=100.0, events=200)

    trial = await run_trial(ground.side("bare"), load)

    assert trial.problems == []
    assert trial.commit_ms.n == 200
    assert 0 < trial.commit_ms.p50 < 500, "half of them are seen a second late or more"


@pytest.mark.e2e
async def test_a_server_that_does_not_stamp_its_commits_is_looked_at(
    stack_factory: Callable[..., Awaitable[Stack]],
) -> None:
    ground = Ground(await stack_factory(names=()))
    await ground.prepare()

    trial = await run_trial(ground.side("bare"), replace(LOAD, events=200))

    assert trial.problems == []
    assert trial.commit_ms.n == 200


@pytest.mark.e2e
async def test_an_experiment_has_a_brokers_heap_and_a_trial_begins_with_nothing_left_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running_at_sync: list[bool] = []
    async with on_ground(tmp_path / "home", durable=False) as ground:
        if ground.stack.kafka.pid is not None:  # One of our own.
            flags = psutil.Process(ground.stack.kafka.pid).cmdline()
            assert set(servers.KAFKA_MEMORY) < set(flags)
            assert not set(java.SMALL) & set(flags)
        side = ground.side("bare-ingress")
        monkeypatch.setattr(os, "sync", lambda: running_at_sync.append("ingress" in side.pids))

        trial = await run_trial(side, replace(LOAD, events=200))

    assert trial.problems == []
    assert running_at_sync == [False]


@pytest.mark.e2e
async def test_a_side_that_drops_one_event_is_told_of(ground: Ground) -> None:
    side = ground.side("bare")
    side.replace_program("ingress", "tests.support_dropping_door")

    trial = await run_trial(side, replace(LOAD, events=200))

    assert trial.accepted == 200
    assert trial.committed == 199
    assert "200 events were accepted, and 199 committed" in trial.problems
