"""The world goes away and comes back: the same batch again, in place, bounded, and nothing parked because of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, LiteralString

import psycopg
import pytest
from msgspec import structs

from models.base import KEY_ID_HEADER
from models.customers import account_of_customer
from runtime import clock
from runtime.failures import Stop, Transient
from runtime.keys import Keyring
from store.intake import AHEAD_MAX, Intake
from store.pipeline import GatheringConnection
from store.postgres import CommitRefused, Connection, Database, is_transient, one_transaction
from store.records import Arrival, Reader, Record
from tests.support_store import GROUP, NOW, PATIENT, Bench, Judge, Told, changed

IMPATIENT = replace(PATIENT, retry_count_max=2)


def facts(count: int) -> list[Told]:
    return [changed(f"evt_{number}", NOW + number, quantity=number) for number in range(count)]


class Troubled(Database):
    """Connections to which something happens, so many times, before a statement that holds certain words."""

    times = 0
    words = "INSERT INTO journal"
    trouble = "SELECT pg_terminate_backend(pg_backend_pid())"
    tries = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        async with super().connection() as connection:
            yield _Troubled(connection, self)  # type: ignore[misc]  # All of a connection that anybody uses.


class _Troubled:
    def __init__(self, connection: Connection, owner: Troubled) -> None:
        self._connection = connection
        self._owner = owner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, query: str, *args: Any, **kwargs: Any) -> Any:
        if self._owner.words in query:
            self._owner.tries += 1
            if self._owner.times > 0:
                self._owner.times -= 1
                await self._connection.execute(self._owner.trouble)
        return await self._connection.execute(query, *args, **kwargs)


async def troubled(
    bench: Bench, trouble: str, times: int, words: str = "INSERT INTO journal", **options: Any
) -> Troubled:
    database = await bench.stack.enter_async_context(Troubled(bench.app_url, application_name="troubled", **options))
    database.trouble, database.times, database.words = trouble, times, words
    return database


RAISE = "DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '{}'; END $$"
TROUBLES = {
    "the server ends the connection": "SELECT pg_terminate_backend(pg_backend_pid())",
    "two transactions cannot both be": RAISE.format("40001"),
    "two transactions wait for each other": RAISE.format("40P01"),
    "the disk is full": RAISE.format("53100"),
    "a lock is not to be had": RAISE.format("55P03"),
    "the server is going down": RAISE.format("57P01"),
    "the server's disk answered with an error": RAISE.format("58030"),
    "a session outlived its limit": RAISE.format("25P03"),
    "a migration changed what a prepared statement is about": RAISE.format("0A000"),
    "the server is a standby now": RAISE.format("25006"),
}


@pytest.mark.parametrize("words", ["INSERT INTO inbox", "INSERT INTO journal", "UPDATE consumer_positions"])
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
async def test_what_passes_by_itself_is_tried_again_and_parks_nothing(bench: Bench, trouble: str, words: str) -> None:
    database = await troubled(bench, trouble, 2, words)
    intake = await bench.intake(bench.tools(database=database))

    await intake.take(bench.records(facts(3)))

    assert database.tries >= 3, "it did not happen"
    outcomes = bench.sql("SELECT outcome, count(*) AS n FROM reports.facts GROUP BY outcome")
    assert outcomes == [{"outcome": "applied", "n": 3}]


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
async def test_what_does_not_pass_ends_the_process_with_nothing_moved(bench: Bench, trouble: str) -> None:
    database = await troubled(bench, trouble, 1_000)
    intake = await bench.intake(bench.tools(database=database), limits=IMPATIENT)
    before = bench.fingerprint()

    with pytest.raises(Stop, match="stayed away"):
        await intake.take(bench.records(facts(3)))

    assert database.tries == IMPATIENT.retry_count_max + 1
    assert bench.fingerprint() == before


async def test_what_was_read_ahead_is_not_read_again_and_what_is_wrong_with_it_is_said_in_its_turn(
    bench: Bench,
) -> None:
    read: list[int] = []

    class Counting(Reader):
        def read(self, record: Record) -> Arrival:
            read.append(record.offset)
            return super().read(record)

    intake = await bench.intake(replace(bench.tools(), reader=Counting(bench.edge_keys)), limits=IMPATIENT)
    good, bad, later = bench.records(facts(3))
    strange = structs.replace(bad, headers={**bad.headers, KEY_ID_HEADER: b"a-key-that-nobody-has"})

    for record in (good, strange):
        intake.read_ahead(record)
    with pytest.raises(Stop, match="the world stayed away"):
        await intake.take([good, strange])
    assert bench.table("journal") == []
    read.clear()
    intake.read_ahead(bad)
    await intake.take([good, bad, later])

    assert len(bench.table("journal")) == 3
    assert read == [bad.offset, good.offset, later.offset]


async def test_what_was_read_ahead_and_never_taken_is_let_go(bench: Bench) -> None:
    intake = await bench.intake()
    [record] = bench.records(facts(1))

    for _ in range(AHEAD_MAX + 50):
        intake.read_ahead(structs.replace(record))

    assert len(intake._ahead) == AHEAD_MAX


async def test_trying_again_is_bounded_in_time_too(bench: Bench) -> None:
    database = await troubled(bench, RAISE.format("53100"), 1_000_000)
    limits = replace(PATIENT, retry_count_max=1_000_000, retry_seconds_max=0.2)
    intake = await bench.intake(bench.tools(database=database), limits=limits)

    async with asyncio.timeout(10):
        with pytest.raises(Stop, match="stayed away"):
            await intake.take(bench.records(facts(1)))


async def test_a_statement_of_one_fact_that_takes_too_long_again_is_that_facts_poison(bench: Bench) -> None:
    database = await troubled(bench, RAISE.format("57014"), 2)
    intake = await bench.intake(bench.tools(database=database))

    await intake.take(bench.records(facts(1)))

    [parked] = bench.table("parked")
    assert (parked["root"], parked["reason"]) == (True, "QueryCanceled while applying")


async def test_a_statement_of_many_facts_that_takes_too_long_is_halved_and_parks_nothing(bench: Bench) -> None:
    database = await troubled(bench, RAISE.format("57014"), 2)
    intake = await bench.intake(bench.tools(database=database))

    await intake.take(bench.records(facts(3)))

    assert bench.table("parked") == []
    assert len(bench.table("journal")) == 3


@pytest.mark.parametrize("sqlstate", ["42P01", "42703", "42501"])
async def test_a_database_of_another_release_ends_the_process_and_parks_nothing(bench: Bench, sqlstate: str) -> None:
    database = await troubled(bench, RAISE.format(sqlstate), 1)
    intake = await bench.intake(bench.tools(database=database))

    with pytest.raises(Stop, match="billing migrate status"):
        await intake.take(bench.records(facts(3)))

    assert bench.table("parked") == bench.table("journal") == []


async def test_waiting_long_for_a_lock_is_nobodys_poison(bench: Bench) -> None:
    """Somebody holds the row longer than any statement may take: the world is away, the fact is good."""
    database = await bench.other_database(statement_seconds_max=1)
    intake = await bench.intake(bench.tools(database=database), limits=IMPATIENT)
    await intake.take(bench.records(facts(1)))
    before = bench.fingerprint()

    with psycopg.connect(bench.superuser_url) as holder:
        holder.execute("SELECT 1 FROM customers FOR UPDATE")
        with pytest.raises(Stop, match="LockNotAvailable"):
            await intake.take(bench.records([changed("evt_9", NOW + 9)]))

    assert bench.fingerprint() == before


WAITING: LiteralString = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'billing_app'"


@pytest.mark.parametrize(
    "made",
    [
        "INSERT INTO customers (customer_id, account_id, livemode) VALUES ('cus_1', 'ac_of_another', false)",
        f"INSERT INTO accounts (account_id) VALUES ('{account_of_customer('cus_1')}')",
    ],
)
async def test_what_another_transaction_makes_meanwhile_is_seen_by_the_next_try(
    bench: Bench, made: LiteralString
) -> None:
    intake = await bench.intake()
    with psycopg.connect(bench.superuser_url) as another:
        another.execute(made)
        taking = asyncio.create_task(intake.take(bench.records([changed("evt_1")])))
        async with asyncio.timeout(10):
            while not bench.sql(WAITING):  # noqa: ASYNC110  # PostgreSQL sets no event of ours.
                await asyncio.sleep(0.01)
        another.commit()

    await taking

    assert [row["outcome"] for row in bench.sql("SELECT outcome FROM reports.facts")] == ["applied"]


async def test_connections_that_died_while_idle_are_replaced_at_once(bench: Bench) -> None:
    intake = await bench.intake()
    await intake.take(bench.records(facts(1)))
    bench.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tests'")

    await intake.take(bench.records([changed("evt_9", NOW + 9)]))

    assert len(bench.table("journal")) == 2


async def test_a_key_that_is_late_holds_the_batch_up_and_then_ends_the_process(bench: Bench) -> None:
    """Keys travel apart from facts: what they sealed is good, and must not be parked meanwhile."""
    file = bench.folder / "elsewhere.json"
    Keyring.generate(file, clock.now())
    intake = await bench.intake(bench.tools(edge_keys=Keyring.from_file(file)), limits=IMPATIENT)
    records = bench.records(facts(2))
    before = bench.fingerprint()

    with pytest.raises(Stop, match="stayed away"):
        await intake.take(records)
    assert bench.fingerprint() == before

    file.write_bytes((bench.folder / "edge.json").read_bytes())
    await intake.take(records)
    assert len(bench.table("journal")) == 2


async def test_a_commit_that_is_answered_by_rollback_is_noticed(bench: Bench) -> None:
    """Whoever swallowed the first error asks for a commit of nothing, and PostgreSQL does not call that an error."""

    async def swallow() -> None:
        async with one_transaction(bench.database) as connection:
            await connection.execute("INSERT INTO accounts (account_id) VALUES ('ac_lost')")
            with suppress(psycopg.Error):
                async with connection.pipeline():  # Its end is a sync: the transaction goes on, and is aborted.
                    await connection.execute("SELECT 1 / 0")

    with pytest.raises(CommitRefused):
        await swallow()

    assert bench.table("accounts") == []


async def test_a_swallowed_sql_error_loses_no_fact(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from store import journal

    write, times = journal.write, 1

    async def careless(connection: Connection, *args: Any) -> None:
        nonlocal times
        if times:
            times -= 1
            with suppress(psycopg.Error):
                await (await connection.execute("SELECT 1 / 0 AS nothing")).fetchall()
        await write(connection, *args)

    monkeypatch.setattr(journal, "write", careless)
    intake = await bench.intake()
    await intake.take(bench.records(facts(3)))

    assert times == 0
    assert len(bench.table("journal")) == 3
    assert bench.table("parked") == []


async def test_a_canceled_batch_leaves_nothing_and_its_retry_everything(bench: Bench) -> None:
    intake = await bench.intake()
    records = bench.records(facts(3))
    before = bench.fingerprint()
    with psycopg.connect(bench.superuser_url) as holder:
        holder.execute("LOCK TABLE journal")
        task = asyncio.create_task(intake.take(records))
        while not bench.sql("SELECT 1 FROM pg_locks WHERE NOT granted"):
            await asyncio.wait([task], timeout=0.001)  # It waits for the lock, and we for its waiting.
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert bench.fingerprint() == before

    await intake.take(records)
    assert len(bench.table("journal")) == 3


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (psycopg.errors.UniqueViolation("x"), False),
        (psycopg.errors.NumericValueOutOfRange("x"), False),
        (psycopg.errors.DataError("a NUL character"), False),
        (psycopg.errors.SerializationFailure("x"), True),
        (psycopg.OperationalError("the connection is lost"), True),
        (psycopg.InterfaceError("the connection is closed"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (Transient(), True),
        (ValueError("x"), False),
        (Stop("x"), False),
    ],
    ids=repr,
)
def test_trouble_of_the_world_is_told_from_trouble_of_a_fact(error: Exception, transient: bool) -> None:
    assert is_transient(error) is transient


async def test_nothing_is_asked_of_the_database_for_nothing(bench: Bench) -> None:
    database = await troubled(bench, RAISE.format("53100"), 1_000, words="")
    intake = Intake(GROUP, bench.tools(database=database), IMPATIENT, Judge())

    await intake.take([])

    assert database.tries == 0


async def test_whoever_gives_up_while_connecting_leaves_nothing_open(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[GatheringConnection] = []

    async def given_up(connection: GatheringConnection, *_words: Any, **_more: Any) -> None:
        begun.append(connection)
        raise asyncio.CancelledError

    async with Database(bench.app_url, application_name="gives-up") as database:
        with monkeypatch.context() as patched:
            patched.setattr(GatheringConnection, "execute", given_up)
            with pytest.raises(asyncio.CancelledError):
                await database.ping()
        assert [connection.closed for connection in begun] == [True]
        await database.ping()
