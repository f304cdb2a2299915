"""How far each partition is in the books is decided in the transaction that moves it, and by nothing else."""

import asyncio

import pytest

from runtime.failures import Stop
from store import positions
from store.intake import Bounds, Gap, Record
from store.positions import Span, TopicPartition
from store.postgres import Database, one_transaction
from tests.support_store import GROUP, NOW, PATIENT, TOPIC, Bench, Judge, Told, changed, refused_by_postgres


def facts(count: int, *, first: int = 0) -> list[Told]:
    return [changed(f"evt_{number}", NOW + number, quantity=number) for number in range(first, first + count)]


def position(bench: Bench, partition: int = 0) -> int:
    [row] = bench.sql(
        "SELECT next_offset FROM consumer_positions WHERE topic = %(topic)s AND partition = %(partition)s",
        {"topic": TOPIC, "partition": partition},
    )
    return int(row["next_offset"])


def heard(bench: Bench) -> list[int]:
    return [row["topic_offset"] for row in bench.sql("SELECT topic_offset FROM reports.facts ORDER BY topic_offset")]


async def test_a_new_partition_is_read_from_the_beginning_of_its_log(bench: Bench) -> None:
    intake = await bench.intake()

    found = await intake.positions({(TOPIC, 1): Bounds(40, 90), (TOPIC, 2): Bounds(0, 0)})

    assert found == {(TOPIC, 1): 40, (TOPIC, 2): 0}


async def test_a_known_partition_is_read_on_from_where_the_books_are(bench: Bench) -> None:
    intake = await bench.intake()
    await intake.take(bench.records(facts(3)))

    assert await intake.positions({(TOPIC, 0): Bounds(2, 9)}) == {(TOPIC, 0): 3}


@pytest.mark.parametrize(("upto", "after"), [(3, 5), (8, 8)])
async def test_who_had_to_wait_for_a_position_finds_it_where_the_other_has_left_it(
    bench: Bench, upto: int, after: int
) -> None:
    await bench.intake()
    other, where = await bench.other_database(), (TOPIC, 0)
    async with one_transaction(bench.database) as first:
        await (await positions.take(first, GROUP, {where: Span(0, 5)})).fetchall()
        behind = asyncio.create_task(taken(other, {where: Span(0, upto)}))
        await until_somebody_waits(bench)

    assert await behind == {where: 5}
    assert position(bench) == after


async def taken(database: Database, spans: dict[TopicPartition, Span]) -> dict[TopicPartition, int]:
    async with one_transaction(database) as connection:
        return await positions.check(await positions.take(connection, GROUP, spans), GROUP, spans, frozenset())


async def until_somebody_waits(bench: Bench) -> None:
    waiting = "SELECT count(*) AS n FROM pg_locks WHERE NOT granted"
    async with asyncio.timeout(20):
        while not bench.sql(waiting)[0]["n"]:  # noqa: ASYNC110  # The condition is PostgreSQL's.
            await asyncio.sleep(0.01)


async def test_a_partition_that_was_never_assigned_is_not_taken(bench: Bench) -> None:
    intake = await bench.intake()

    with pytest.raises(Stop, match="never assigned"):
        await intake.take(bench.records(facts(1), partition=5))
    assert heard(bench) == []


async def test_a_known_fact_below_the_position_is_a_duplicate(bench: Bench) -> None:
    intake = await bench.intake()
    records = bench.records(facts(4))
    await intake.take(records)

    await intake.take(records[1:3])

    assert heard(bench) == [0, 1, 2, 3]
    assert position(bench) == 4, "a position never moves backwards"


async def test_an_unknown_fact_below_the_position_means_that_the_topic_was_recreated(bench: Bench) -> None:
    intake = await bench.intake()
    await intake.take(bench.records(facts(4)))
    before = bench.fingerprint()

    with pytest.raises(Stop, match="recreated"):
        await intake.take([bench.record(changed("evt_of_the_new_topic"), offset) for offset in (1,)])
    assert bench.fingerprint() == before


async def test_a_position_beyond_the_end_of_the_log_means_that_the_topic_was_recreated(bench: Bench) -> None:
    intake = await bench.intake()
    await intake.take(bench.records(facts(4)))

    with pytest.raises(Stop, match="recreated"):
        await intake.positions({(TOPIC, 0): Bounds(0, 3)})
    assert await intake.positions({(TOPIC, 0): Bounds(0, 4)}) == {(TOPIC, 0): 4}, "all of it read is not too much"


@pytest.mark.parametrize("verdict", [Gap.LOST, Gap.SKIPPED])
@pytest.mark.parametrize("missing", [0, 2], ids=["before the batch", "within the batch"])
async def test_a_gap_where_facts_were_stops_the_process(bench: Bench, verdict: Gap, missing: int) -> None:
    judge = Judge(verdict)
    intake = await bench.intake(judge=judge)
    records = bench.records(facts(5))
    before = bench.fingerprint()

    with pytest.raises(Stop, match=verdict.value):
        await intake.take(without(records, missing))

    assert judge.asked == [(TOPIC, 0, missing, missing + 1)]
    assert bench.fingerprint() == before


@pytest.mark.parametrize("missing", [0, 2], ids=["before the batch", "within the batch"])
async def test_a_hole_in_the_log_is_passed_over(bench: Bench, missing: int) -> None:
    intake = await bench.intake(judge=Judge(Gap.HOLE))
    records = bench.records(facts(5))

    await intake.take(without(records, missing))

    assert heard(bench) == [offset for offset in range(5) if offset != missing]
    assert position(bench) == 5


async def test_a_hole_is_passed_over_while_poison_is_halved_out(bench: Bench) -> None:
    intake = await bench.intake(bench.tools(), judge=Judge(Gap.HOLE))
    told = facts(8)
    told[6] = refused_by_postgres("evt_bad", customer="cus_bad", sid="sub_bad")

    await intake.take(without(bench.records(told), 3))

    assert heard(bench) == [0, 1, 2, 4, 5, 6, 7]
    assert [row["fact_id"] for row in bench.table("parked")] == ["evt_bad"]
    assert position(bench) == 8


async def test_partitions_have_gaps_of_their_own(bench: Bench) -> None:
    judge = Judge(Gap.LOST)
    intake = await bench.intake(partitions=(0, 1), judge=judge)
    zero = bench.records(facts(2))
    one = bench.records(facts(2, first=10), partition=1)

    await intake.take([zero[0], one[0], zero[1], one[1]])
    assert (position(bench, 0), position(bench, 1)) == (2, 2)
    assert judge.asked == []


async def test_the_late_batch_of_a_writer_that_lost_its_partition_has_no_effect(bench: Bench) -> None:
    """It still runs, believes itself the owner, and brings what the new owner has long taken."""
    zombie = await bench.intake(bench.tools(database=await bench.other_database()))
    owner = await bench.intake()
    records = bench.records(facts(6))
    await zombie.take(records[:2])
    await owner.take(records[2:])
    before = bench.fingerprint()

    await zombie.take(records[2:5])

    assert bench.fingerprint() == before


async def test_two_writers_of_one_partition_at_once_count_each_fact_once(bench: Bench) -> None:
    records = bench.records(facts(30))
    writers = [await bench.intake(bench.tools(database=await bench.other_database())) for _ in range(2)]

    async def write(number: int) -> None:
        size = 3 + number
        for first in range(0, len(records), size):
            await writers[number].take(records[first : first + size])

    await asyncio.gather(write(0), write(1))

    assert heard(bench) == list(range(30))
    assert position(bench) == 30
    assert PATIENT.retry_count_max == 3, "within the ordinary number of tries"
    assert bench.sql("SELECT count(*) AS n FROM journal")[0]["n"] == 30


async def test_groups_have_positions_of_their_own(bench: Bench) -> None:
    await (await bench.intake()).take(bench.records(facts(2)))

    rows = bench.sql("SELECT consumer_group, next_offset FROM consumer_positions")
    assert rows == [{"consumer_group": GROUP, "next_offset": 2}]


def without(records: list[Record], missing: int) -> list[Record]:
    return [record for record in records if record.offset != missing]


async def test_a_log_that_begins_beyond_the_position_has_lost_facts(bench: Bench) -> None:
    intake = await bench.intake()
    await intake.take(bench.records(facts(3)))

    assert await intake.positions({(TOPIC, 0): Bounds(3, 9)}) == {(TOPIC, 0): 3}, "what is gone, we had"
    with pytest.raises(Stop, match="lost"):
        await intake.positions({(TOPIC, 0): Bounds(4, 9)})


async def test_a_recreated_topic_is_read_anew_once_its_positions_are_deleted(bench: Bench) -> None:
    """As the words of the Stop say.  What Stripe sends again is known by its id, wherever it lies now."""
    intake = await bench.intake()
    await intake.take(bench.records(facts(4)))
    bench.sql("DELETE FROM consumer_positions WHERE consumer_group = 'billing.books'")
    bench.ends.clear()

    assert await intake.positions({(TOPIC, 0): Bounds(0, 2)}) == {(TOPIC, 0): 0}
    await intake.take(bench.records([*facts(1, first=3), *facts(1, first=9)]))

    ids = [row["fact_id"] for row in bench.sql("SELECT fact_id FROM reports.facts ORDER BY fact_id")]
    assert ids == ["evt_0", "evt_1", "evt_2", "evt_3", "evt_9"]
    assert position(bench) == 2
