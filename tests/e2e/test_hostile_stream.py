"""What Stripe, the world and our own bugs put into the stream: a hundred copies at once, an id with two contents, types
and versions of the future, and bodies that nobody can read.  Neighbours do not notice.
"""

import asyncio
import itertools
import json
import random
import statistics
import time
from collections import Counter

import pytest

from tests.ingress.test_bodies import _hostile
from tests.support_figures import Figure
from tests.support_pipeline import OK_MAX, Pipeline, subscription_event

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

COPIES = 100
CONNECTIONS = 20
PARKED_SECONDS_MAX = 5
COMMIT_SECONDS_MAX = 5
SLACK = 3
_numbers = itertools.count(1)


def an_event(**differently: object) -> dict[str, object]:
    number = next(_numbers)
    event = subscription_event(
        f"evt_hostile_{number}",
        created=1_790_000_000 + number,
        subscription=f"sub_hostile_{number}",
        customer=f"cus_hostile_{number}",
    )
    return dict(event) | differently


async def outcomes(pipeline: Pipeline, events: list[dict[str, object]]) -> list[str]:
    """What became of these events, in their order."""
    wanted = [event["id"] for event in events]
    rows = await pipeline.rows("SELECT fact_id, outcome FROM reports.facts WHERE fact_id = ANY(%(ids)s)", ids=wanted)
    found = {row["fact_id"]: row["outcome"] for row in rows}
    return [found[str(name)] for name in wanted]


async def test_a_hundred_copies_at_once_are_all_accepted_and_count_once(pipeline: Pipeline, figure: Figure) -> None:
    events = [an_event() for _ in range(10)]
    posts = [event for event in events for _ in range(COPIES)]
    random.Random(7).shuffle(posts)
    room = asyncio.Semaphore(CONNECTIONS)

    async def post(event: dict[str, object]) -> int:
        async with room:
            return await pipeline.post(event)

    answers = await asyncio.gather(*(post(event) for event in posts))
    for event in events:
        pipeline.has_accepted(event)
    await pipeline.drained()
    await pipeline.check()

    assert {answer // 100 for answer in answers} == {2}
    assert await outcomes(pipeline, events) == ["applied"] * len(events)
    figure(f"{len(posts)} posts on {CONNECTIONS} connections, seed 7: {len(events)} effects, all answered 2xx")


async def test_an_id_with_two_contents_counts_by_the_first_and_holds_nobody_up(pipeline: Pipeline) -> None:
    event = an_event()
    other = subscription_event(
        str(event["id"]), created=1_790_000_000, subscription="sub_of_another_story", customer="cus_hostile_1"
    )
    await pipeline.deliver(event)
    await pipeline.drained()
    later = an_event()

    await pipeline.deliver(other)
    await pipeline.deliver(later)
    await pipeline.drained()
    await pipeline.check()

    assert await outcomes(pipeline, [event, later]) == ["applied", "applied"]
    assert len(await pipeline.rows("SELECT * FROM conflicting_copies WHERE fact_id = %(id)s", id=event["id"])) == 1
    alerts = [one for one in await pipeline.said() if one.topic == "billing.alerts"]
    assert [one.data["rule"] for one in alerts if str(event["id"]) in one.subject] == ["conflicting_copy"]


async def test_types_and_versions_of_the_future_are_accepted_and_kept(pipeline: Pipeline) -> None:
    strange = [an_event(type=f"billing.of_the_future_{number}") for number in range(50)]
    versions = [an_event(api_version=version) for version in ("2016-07-06", "2031-01-01.zinnia", "not a version")]
    thin = {
        "id": "evt_thin_1",
        "object": "v2.core.event",
        "type": "v1.billing.meter.no_meter_found",
        "created": "2026-11-24T12:00:00.000Z",
        "livemode": False,
        "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
    }

    for event in (*strange, *versions, thin):
        assert 0 < await pipeline.post(event) <= OK_MAX
        pipeline.has_accepted(event)
    await pipeline.drained()
    await pipeline.check()

    assert await outcomes(pipeline, [*strange, thin]) == ["ignored"] * 51
    assert await outcomes(pipeline, versions) == ["applied"] * 3
    flagged = await pipeline.rows("SELECT fact_id FROM reports.facts WHERE reason = 'unknown_api_version'")
    assert {row["fact_id"] for row in flagged} >= {str(event["id"]) for event in versions[:2]}


async def test_unreadable_bodies_are_parked_and_their_neighbours_do_not_wait(
    pipeline: Pipeline, figure: Figure
) -> None:
    events = [an_event() for _ in range(300)]
    poison = events[50::100]
    for number, event in enumerate(poison):
        event["data"]["object"]["items"]["data"][0]["quantity"] = ("many", -1, 2**63)[number]  # type: ignore[index]

    began = time.monotonic()
    await asyncio.gather(*(pipeline.deliver(event) for event in events))
    await pipeline.drained()
    took = time.monotonic() - began
    await pipeline.check()

    assert await outcomes(pipeline, poison) == ["parked"] * len(poison)
    neighbours = [str(event["id"]) for event in events if event not in poison]
    p50, p99 = percentiles(await seconds_to_commit(pipeline, neighbours))
    figure(f"{len(events)} events at once, {len(poison)} of them unreadable: all in or parked after {took:.1f} s;")
    figure(f"their {len(neighbours)} neighbours from first 2xx to commit: p50 {p50:.2f} s, p99 {p99:.2f} s")
    assert took <= PARKED_SECONDS_MAX * SLACK
    assert p99 <= COMMIT_SECONDS_MAX * SLACK


async def seconds_to_commit(pipeline: Pipeline, fact_ids: list[str]) -> list[float]:
    """From the first 2xx to the commit; every fact must have been heard, not parked."""
    rows = await pipeline.rows(
        "SELECT fact_id, extract(epoch FROM committed_at)::float8 AS at FROM reports.facts"
        " WHERE fact_id = ANY(%(ids)s) AND outcome = 'applied'",
        ids=fact_ids,
    )
    assert len(rows) == len(fact_ids), "a neighbour was not applied"
    return [max(0.0, row["at"] - pipeline.accepted[row["fact_id"]]) for row in rows]


def percentiles(seconds: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return cuts[49], cuts[98]


async def test_whatever_the_door_believes_ends_no_worker_and_is_kept(pipeline: Pipeline, figure: Figure) -> None:
    pids = {child.name: child.pid for child in pipeline.stack.supervisor.children}
    bodies = [body for body, _ in _hostile()]

    taken = [body for body in bodies if 0 < await pipeline.post(body) <= OK_MAX]
    for body in taken:
        pipeline.has_accepted(json.loads(body, parse_int=float))
    await pipeline.drained()
    await pipeline.check()

    assert {child.name: child.pid for child in pipeline.stack.supervisor.children} == pids
    kept = await outcomes(pipeline, [json.loads(body, parse_int=float) for body in taken])
    assert set(kept) == {"ignored", "parked"}
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(kept).items()))
    figure(f"{len(bodies)} hostile bodies, signed: {len(taken)} taken ({counts}), no process died")
