"""The journal is gapless, and all that the books are can be made from it again."""

import random
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from models import books
from models.base import Envelope, Source
from models.books import Books
from models.customers import Customer
from models.stripe_events import Fact
from store import apply, customers, journal, objects, parked, payments, subscriptions
from store.postgres import Connection, one_transaction
from tests.store.test_contracts import CASES, assert_numbers_are_gapless
from tests.store.test_waiting import traffic
from tests.support_lives import lives, shuffled
from tests.support_store import CATALOG, NOW, Bench, Told, changed

REBUILT = ("subscriptions", "versions", "customers", "objects", "object_versions", "payments")
EPOCH = datetime.fromtimestamp(0, UTC)


async def replayed(bench: Bench) -> None:
    """Fold the journal into an emptied database: no inbox, no topic, no positions."""
    facts = [fact async for fact in journal.read(bench.database)]
    bench.wipe()
    after, _ = books.fold(Books(), facts, CATALOG)
    async with one_transaction(bench.database) as connection:
        await _save(connection, after)


async def _save(connection: Connection, after: Books) -> None:
    known: dict[str, Customer] = after.customers
    await customers.lock_customers(connection, {one.customer_id: one.livemode for one in known.values()}, ())
    await customers.save_customers(connection, known.values())
    await subscriptions.save(connection, {}, after.lines)
    await objects.save(connection, Books(), after)
    await payments.save(connection, {}, after.payments)


def rebuilt(bench: Bench) -> dict[str, Any]:
    return {name: bench.table(name) for name in REBUILT}


@pytest.mark.parametrize("seed", range(4))
async def test_folding_the_journal_into_an_empty_schema_gives_the_same_rows(bench: Bench, seed: int) -> None:
    dice = random.Random(seed)
    arriving = shuffled([one for life in lives(seed, 10) for one in life], dice)
    intake = await bench.intake()
    for first in range(0, len(arriving), 13):
        await intake.take(bench.records(arriving[first : first + 13]))
    before = rebuilt(bench)
    assert before["versions"]

    await replayed(bench)

    assert rebuilt(bench) == before


async def test_folding_the_journal_gives_the_same_payments(bench: Bench) -> None:
    facts = traffic(8)
    intake = await bench.intake()
    for one in random.Random(5).sample(facts, len(facts)):
        await intake.take(bench.records([one]))
    before = rebuilt(bench)
    assert len(before["payments"]) == 8

    await replayed(bench)

    assert rebuilt(bench) == before


async def test_a_replay_gives_the_same_numbers_and_says_the_same(bench: Bench) -> None:
    """As long as no customer changed its account: then its facts count on in another."""
    told = [changed(f"evt_{n}", NOW + 7 * n % 5, quantity=n, sid=f"sub_{n % 3}", account="P1") for n in range(20)]
    await (await bench.intake()).take(bench.records(told))
    said = bench.sql("SELECT event_id, account_seq, sequence FROM outbox ORDER BY outbox_id")

    facts = [fact async for fact in journal.read(bench.database)]
    _, heard = books.fold(Books(), facts, CATALOG)

    again = [(one.event_id, one.account_seq, one.sequence) for fact in heard for one in fact.said]
    assert again == [(row["event_id"], row["account_seq"], row["sequence"]) for row in said]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_what_the_journal_holds_is_the_fact_as_it_was_read(bench: Bench, case: Any) -> None:
    told: list[Told] = [*case.before, case.fact]
    records = bench.records(told)
    await (await bench.intake()).take(records)

    reader = bench.tools().reader
    arrived: dict[str, Fact | None] = {
        record.headers["fact_id"].decode(): reader.read(record).fact for record in records
    }
    apart = {row["fact_id"] for row in (*bench.table("parked"), *bench.table("waiting"))}
    heard = {fact.envelope.id: fact async for fact in journal.read(bench.database)}
    assert heard.keys() == arrived.keys() - apart
    for fact_id, fact in heard.items():
        before = arrived[fact_id]
        assert before is not None
        assert fact.body == before.body
        assert fact.envelope == before.envelope


async def test_each_row_says_where_its_fact_came_from_and_what_it_caused(bench: Bench) -> None:
    intake = await bench.intake(partitions=(0, 3))
    one, two = changed("evt_1", lookup_key="unheard_of"), changed("evt_2", customer="cus_2", sid="sub_2")
    await intake.take([*bench.records([one, one]), *bench.records([two], partition=3)])

    rows = bench.sql("SELECT fact_id, topic, partition, topic_offset, caused FROM journal ORDER BY fact_id")
    assert [(row["fact_id"], row["topic"], row["partition"], row["topic_offset"]) for row in rows] == [
        ("evt_1", "stripe.events", 0, 0),
        ("evt_2", "stripe.events", 3, 0),
    ]
    assert rows[0]["caused"] == [
        "stripe/evt_1/billing.subscription.changed.v1/sub_1",
        "stripe/evt_1/billing.alert.raised.v1/sub_1",
    ]
    said = {row["event_id"] for row in bench.sql("SELECT event_id FROM outbox")}
    assert said == {event_id for row in rows for event_id in row["caused"]}
    assert_numbers_are_gapless(bench)


async def test_a_discarded_fact_is_journaled_and_not_replayed(bench: Bench) -> None:
    told = [changed("evt_bad", status="dancing", account="P1"), changed("evt_2", NOW + 2)]
    await (await bench.intake()).take(bench.records(told))
    [root, _] = await parked.listed(bench.database)
    await apply.discard(bench.tools(), root, "nobody dances")
    [follower] = await parked.listed(bench.database)
    await apply.redrive(bench.tools(), follower)
    before = rebuilt(bench)

    await replayed(bench)

    assert rebuilt(bench) == before


def test_what_a_later_release_has_stored_can_be_read_by_this_one() -> None:
    stored = Envelope(
        source=Source.STRIPE, id="evt_1", type="a.b", occurred_at=EPOCH, received_at=EPOCH, livemode=False
    ).written()

    assert Envelope.read(stored.replace(b"{", b'{"of_a_later_release": 1, ', 1)).id == "evt_1"


@pytest.mark.parametrize(
    "statement",
    [
        *("UPDATE journal SET reason = 'x'", "DELETE FROM journal", "TRUNCATE journal"),
        *("UPDATE inbox_0 SET api_version = 'x'", "UPDATE conflicting_copies SET key_id = 'x'"),
    ],
)
async def test_the_processes_cannot_rewrite_the_journal(bench: Bench, statement: str) -> None:
    await (await bench.intake()).take(bench.records([changed("evt_1")]))

    with psycopg.connect(bench.app_url) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(statement.encode())
    assert len(bench.table("journal")) == 1


async def test_the_processes_cannot_reach_a_month_of_the_journal_past_its_parent(bench: Bench) -> None:
    months = bench.sql("SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'journal'::regclass")
    assert months

    for month in months:
        with psycopg.connect(bench.app_url) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(f"UPDATE {month['name']} SET reason = 'forged'".encode())
