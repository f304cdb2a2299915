"""Subscribers who are known already, by the million: what the books would hold had each of them been heard of once.

One event is heard by the product's own functions; its rows are then written for everybody, with their own ids in it.
Only the ids go over the wire, and the server makes the rows.  People are put in in an order that has nothing to do with
their numbers: whoever is met one after the other later does not lie side by side.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, LiteralString

import psycopg
from msgspec.structs import asdict

from bench.corpus import Corpus, known_ids, lives
from bench.trial import Mix
from models import books, envelopes, stripe_events
from models.base import ENVELOPE_HEADER, Envelope, as_json
from models.books import Books, Heard
from models.customers import account_of_customer, stranger
from models.stripe_events import SLICE_VERSION, Fact
from models.subscriptions import Version
from models.topics import SUBSCRIPTIONS
from runtime import clock
from store import catalog

MARK: Final = b"seeded00"
"""In the place of a generation: no event of the load bears the same id."""

CREATED: Final = 1_767_225_600
"""When they were heard of: the first second of 2026, before anything that the load says of them."""

CHUNK: Final = 50_000
STRIDE: Final = 7_368_787
"""A prime that divides no number of subscribers that we ask for."""

Advance = Callable[[int], None]

IDS: LiteralString = """
    CREATE TEMPORARY TABLE known (customer_id text, account_id text, subscription_id text, fact_id text)
"""
TAKE_IDS: LiteralString = "COPY known (customer_id, account_id, subscription_id, fact_id) FROM STDIN"

CUSTOMERS: LiteralString = """
    INSERT INTO customers (customer_id, account_id, livemode)
    SELECT customer_id, account_id, %(livemode)s FROM known
"""
ACCOUNTS: LiteralString = "INSERT INTO accounts (account_id, last_seq) SELECT account_id, 1 FROM known"

SEQUENCES: LiteralString = """
    INSERT INTO outbox_sequences (account_id, topic, last_sequence) SELECT account_id, %(said_to)s, 1 FROM known
"""
INBOX: LiteralString = """
    INSERT INTO inbox (source, fact_id, slice_sha256, slice_version, api_version)
    SELECT %(source)s, fact_id, sha256(fact_id::bytea), %(slice_version)s, %(api_version)s FROM known
"""
PRESENTS: LiteralString = """
    INSERT INTO subscriptions (
        subscription_id, fact_id, occurred_at, customer_id, status, plan, price_lookup_key, billing_interval, quantity,
        current_period_start, current_period_end, trial_end, cancel_at, cancel_at_period_end, canceled_at,
        collection_paused, livemode)
    SELECT
        subscription_id, fact_id, %(occurred_at)s, customer_id, %(status)s, %(plan)s, %(price_lookup_key)s,
        %(billing_interval)s, %(quantity)s, %(current_period_start)s, %(current_period_end)s, %(trial_end)s,
        %(cancel_at)s, %(cancel_at_period_end)s, %(canceled_at)s, %(collection_paused)s, %(livemode)s
    FROM known
"""
VERSIONS: LiteralString = """
    INSERT INTO subscription_versions (
        subscription_id, fact_id, ended, occurred_at, ordinal, rank, before, customer_id, status, plan,
        price_lookup_key, billing_interval, quantity, current_period_start, current_period_end, trial_end, cancel_at,
        cancel_at_period_end, canceled_at, collection_paused, livemode)
    SELECT
        subscription_id, fact_id, false, %(occurred_at)s, 0, %(rank)s,
        replace(%(before)s, %(customer_id)s, customer_id), customer_id, %(status)s, %(plan)s, %(price_lookup_key)s,
        %(billing_interval)s, %(quantity)s, %(current_period_start)s, %(current_period_end)s, %(trial_end)s,
        %(cancel_at)s, %(cancel_at_period_end)s, %(canceled_at)s, %(collection_paused)s, %(livemode)s
    FROM known
"""
JOURNAL: LiteralString = """
    INSERT INTO journal (
        committed_at, account_id, account_seq, source, fact_id, type, subject, customer_id, occurred_at, received_at,
        api_version, livemode, schema_version, slice, outcome, caused)
    SELECT
        clock_timestamp(), account_id, 1, %(source)s, fact_id, %(type)s, subscription_id, customer_id, %(occurred_at)s,
        %(received_at)s, %(api_version)s, %(livemode)s, %(schema_version)s,
        replace(replace(%(slice)s, %(customer_id)s, customer_id), %(subject)s, subscription_id), %(outcome)s, '{}'
    FROM known
"""
ROWS: Final = (CUSTOMERS, ACCOUNTS, SEQUENCES, INBOX, PRESENTS, VERSIONS, JOURNAL)


@dataclass(frozen=True, slots=True)
class Person:
    """The ids that one of them is known by."""

    customer_id: str
    account_id: str
    subscription_id: str
    fact_id: str

    def line(self) -> str:
        """The ids as COPY takes them: none of them holds a character that needs quoting."""
        return f"{self.customer_id}\t{self.account_id}\t{self.subscription_id}\t{self.fact_id}\n"


def person(number: int) -> Person:
    """Who is known by *number*."""
    fact_id, customer_id, subscription_id = (one.decode() for one in known_ids(number, MARK))
    return Person(customer_id, account_of_customer(customer_id), subscription_id, fact_id)


async def fill(url: str, count: int, catalog_file: Path, advance: Advance = lambda _: None) -> None:
    """The books at *url*, empty before, hold *count* subscribers; then they are analyzed and flushed to disk.

    *url* is the owner's, and *advance* hears how many more are in.
    """
    rows = _rows(catalog_file)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(IDS)
        for chunk in _chunks(count):
            async with connection.transaction():
                await _put(connection, chunk, rows)
            advance(len(chunk))
        await connection.execute("ANALYZE")


async def checkpoint(url: str) -> None:
    """What was written lies on disk, and is not written in the middle of a trial; *url* is a superuser's."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("CHECKPOINT")


async def _put(connection: psycopg.AsyncConnection, chunk: list[Person], rows: dict[str, object]) -> None:
    await connection.execute("TRUNCATE known")
    async with connection.cursor() as cursor, cursor.copy(TAKE_IDS) as copy:
        await copy.write("".join(one.line() for one in chunk))
    for statement in ROWS:
        await connection.execute(statement, rows)


def _chunks(count: int) -> Iterator[list[Person]]:
    if count % STRIDE == 0:
        raise ValueError(f"{count} subscribers would not all be met in steps of {STRIDE}.")
    for begin in range(0, count, CHUNK):
        yield [person(place * STRIDE % count) for place in range(begin, min(begin + CHUNK, count))]


def fact_about(number: int) -> Fact:
    """What is heard of who is known by *number*."""
    (event,) = Corpus(0, lives(Mix.SUBSCRIPTIONS)).about(range(number, number + 1), CREATED)
    body = event.body.replace(event.fact_id.encode(), person(number).fact_id.encode())
    written = envelopes.read(body, clock.now(), livemode=False)
    assert isinstance(written, envelopes.Written), "the corpus is of events"
    envelope = Envelope.from_headers({ENVELOPE_HEADER: written.text})
    return stripe_events.read(envelope, body)


def _rows(catalog_file: Path) -> dict[str, object]:
    """What is the same in everybody's rows, and the first one's ids, to be replaced."""
    heard, version = _hear(fact_about(0), catalog_file)
    envelope, body = heard.fact.envelope, heard.fact.body
    assert body is not None, "the load is about subscriptions"
    state = asdict(version.state)
    return {
        **state,
        **{name: getattr(envelope, name) for name in ("type", "subject", "occurred_at", "received_at", "api_version")},
        "customer_id": envelope.customer,
        "schema_version": envelope.schema_version,
        "source": envelope.source.value,
        "said_to": SUBSCRIPTIONS.name,
        "slice_version": SLICE_VERSION,
        "slice": as_json(body),
        "rank": version.rank,
        "before": as_json(version.before) if version.before else None,
        "outcome": heard.outcome.value,
        "status": version.state.status.value,
    }


def _hear(fact: Fact, catalog_file: Path) -> tuple[Heard, Version]:
    customer_id, subscription_id = fact.envelope.customer, fact.envelope.subject
    assert customer_id is not None, "the load is about customers"
    assert subscription_id is not None, "the load is about subscriptions"
    known = Books(customers={customer_id: stranger(customer_id, livemode=False)})
    heard = books.hear(known, fact, catalog.read(catalog_file))
    return heard, known.lines[subscription_id][-1]
