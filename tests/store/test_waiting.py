"""Facts that wait for their owner: nobody is forgotten, whoever comes first, whoever comes at the same moment."""

import asyncio
import json
import random
from typing import Any
from zlib import crc32

import pytest
from msgspec.structs import replace

from store import apply, waiting
from tests.models import support_payments
from tests.models.support_facts import BASIL, envelope_of
from tests.support_store import Bench, Told

Json = dict[str, Any]


def told_as(event: Json) -> Told:
    """The event as the door hands it on; a session's reference names the account."""
    envelope = envelope_of(event)
    shown = event["data"]["object"]
    if envelope.account is None and shown.get("client_reference_id"):
        envelope = replace(envelope, account=shown["client_reference_id"])
    return Told(envelope, json.dumps(event).encode())


def of(number: int, events: list[Json]) -> list[Json]:
    """The same story of somebody else."""
    text = json.dumps(events)
    for prefix in ("evt", "pi", "ch", "in", "inpay", "re", "dp", "cs", "cus", "sub"):
        text = text.replace(f'"{prefix}_', f'"{prefix}_{number}_')
    return json.loads(text.replace('"P1"', f'"P{number}"'))  # type: ignore[no-any-return]


def traffic(people: int) -> list[Told]:
    events: list[Json] = []
    for number in range(people):
        story = (support_payments.refunded_and_disputed, support_payments.credits_of_a_guest)[number % 2]
        events += of(number, story(BASIL))
    return [told_as(event) for event in events]


async def present_all(bench: Bench) -> int:
    """What the clock does, until nothing is ready any more; how many were presented."""
    presented = 0
    while ready := await waiting.ready(bench.database, rows_max=50):
        for one in ready:
            presented += len((await apply.present(bench.tools(), one)).heard)
    return presented


@pytest.mark.parametrize("seed", range(4))
async def test_whoever_comes_first_and_at_the_same_moment_the_payments_are_the_same(bench: Bench, seed: int) -> None:
    """Two writers; facts that name no owner lie in other partitions than those that do."""
    facts, dice = traffic(6), random.Random(seed)
    await (await bench.intake()).take(bench.records(facts))
    expected = {name: bench.table(name) for name in ("payments", "objects", "object_versions")}
    assert bench.table("waiting") == []
    bench.wipe()

    mixed = dice.sample(facts, len(facts))
    streams = [
        bench.records([one for one in mixed if crc32(one.envelope.partition_key.encode()) % 4 == part], partition=part)
        for part in range(4)
    ]

    async def work(parts: list[int]) -> None:
        intake = await bench.intake(bench.tools(database=await bench.other_database()), partitions=parts)
        queues = [list(streams[part]) for part in parts]
        sizes = random.Random(seed)
        while any(queues):
            await intake.take([queue.pop(0) for queue in queues for _ in range(min(len(queue), sizes.randint(1, 4)))])

    await asyncio.gather(work([0, 1]), work([2, 3]))
    await present_all(bench)

    assert {name: bench.table(name) for name in expected} == expected
    assert (bench.table("waiting"), bench.table("parked")) == ([], [])


async def test_what_was_missed_at_the_same_moment_is_presented_by_the_clock(bench: Bench) -> None:
    """As if the charge had been committed while the refund was looking: nobody presents it but the clock."""
    charge, refund = (told_as(event) for event in _charge_and_refund())
    await (await bench.intake()).take(bench.records([refund]))
    kept = bench.sql("SELECT * FROM waiting_facts")
    bench.sql("UPDATE waiting_facts SET awaits = ARRAY['nothing']")
    await (await bench.intake()).take(bench.records([charge]))
    assert len(bench.table("waiting")) == 1
    bench.sql("UPDATE waiting_facts SET awaits = %(awaits)s", {"awaits": kept[0]["awaits"]})

    assert await present_all(bench) == 1

    [payment] = bench.sql("SELECT refunded_minor, account_id FROM reports.payments")
    assert payment["refunded_minor"] == 500
    [row] = bench.sql("SELECT outcome, account_id FROM reports.facts WHERE fact_id = %(id)s", {"id": refund.id})
    assert row == {"outcome": "applied", "account_id": payment["account_id"]}


async def test_stripe_is_asked_once_about_what_nobody_tells(bench: Bench) -> None:
    [_, refund] = (told_as(event) for event in _charge_and_refund())
    await (await bench.intake()).take(bench.records([refund]))

    [one] = await waiting.unasked(bench.database, seconds=0, rows_max=10)
    assert await waiting.unasked(bench.database, seconds=30, rows_max=10) == []
    await apply.ask(bench.tools(), one)
    await apply.ask(bench.tools(), one)

    assert await waiting.unasked(bench.database, seconds=0, rows_max=10) == []
    [said] = bench.sql("SELECT topic, type, subject, data FROM outbox")
    assert (said["topic"], said["subject"]) == ("billing.stripe-requests", "pi_1")
    assert json.loads(said["data"])["request"] == {
        "kind": "retrieve",
        "object_kind": "payment_intent",
        "object_id": "pi_1",
        "why": "owner_unknown",
    }


def _charge_and_refund() -> list[Json]:
    events = support_payments.refunded_and_disputed(BASIL)
    return [
        next(event for event in events if event["type"] == "charge.succeeded"),
        next(event for event in events if event["type"] == "refund.created"),
    ]
