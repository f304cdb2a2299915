"""The only write transaction of the pipeline.

One transaction takes a batch of arrivals into the books: take turns, claim, load, decide, save, journal, announce, move
the position.  Everybody takes locks in one order: positions, customers, accounts, then rows.  All that is asked of the
server before deciding goes out at once, and all that is written after it, so a batch costs two waits.

Redriving and discarding a parked fact is the same transaction without a topic behind it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from models import books
from models.base import Envelope
from models.books import Books, Heard, Said
from models.catalog import Catalog
from models.customers import Customer, account_of_platform
from models.events import AlertRaised, FactParked, Rule
from models.stripe_events import Fact
from runtime.failpoints import Failpoints
from runtime.failures import Poison, Stop
from runtime.keys import Keyring
from store import customers, inbox, journal, outbox, parked, positions, traces
from store import subscriptions as subscription_rows
from store.inbox import Identity
from store.parked import Parked, ParkedFact
from store.positions import Span, TopicPartition
from store.postgres import Connection, Cursor, Database, one_transaction
from store.records import Arrival, Reader
from store.traces import Step

FOLLOWS: Final = "follows"
"""The reason of a fact that is parked only because one before it is."""


class NotFirst(Exception):
    """The fact is not parked any more, or others of its lane stand before it: redrive a lane from its head."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the transaction needs beside the batch."""

    database: Database
    catalog: Catalog
    reader: Reader
    store_keys: Keyring
    failpoints: Failpoints


@dataclass(frozen=True, slots=True)
class Batch:
    """Arrivals in the order of their offsets, and the offsets that they cover."""

    group: str
    arrivals: Sequence[Arrival]
    spans: Mapping[TopicPartition, Span]
    holes: frozenset[TopicPartition] = frozenset()  # Where a missing offset is known to be nothing.


@dataclass(slots=True)
class Applied:
    """What a transaction made of its batch: every arrival is in exactly one of these."""

    heard: list[Heard] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    duplicates: int = 0
    conflicts: int = 0


async def apply(tools: Tools, batch: Batch) -> Applied:
    """Take a batch into the books, all of it or nothing.

    Raises GapFound when it starts beyond the position, Stop when the topic is not the one we knew, and whatever
    PostgreSQL raises; nothing is in then.
    """
    traces.begin(Step.ASK)
    async with one_transaction(tools.database) as connection:
        locked = await positions.lock(connection, batch.group, batch.spans)
        questions = await _ask(connection, [arrival.envelope for arrival in batch.arrivals])
        claimed = await inbox.claim(connection, _claims(batch.arrivals))
        lines = await subscription_rows.load(connection, books.floors(_readable(batch.arrivals)))
        at = await positions.check(locked, batch.group, batch.spans, batch.holes)
        fresh, copies = _sorted_out(batch.arrivals, await inbox.read_claimed(claimed), at)
        before = await _answered(connection, questions, lines, [arrival.envelope for arrival in fresh])
        turn = _Turn(tools, before, await parked.read_lanes(questions.lanes))
        traces.begin(Step.DECIDE)
        turn.take(fresh)
        await _take_copies(connection, turn, copies)
        traces.begin(Step.SAVE)
        await _save(connection, before, turn, batch)
        await _reach(connection, tools.failpoints, "in_transaction", batch.arrivals)
    tools.failpoints.reach("after_commit", _ids(batch.arrivals))
    return turn.applied


async def redrive(tools: Tools, one: ParkedFact) -> Applied:
    """Take the first fact of a lane into the books, with the code of today.

    Raises NotFirst, or what made it go wrong, if it still does; it stays parked then.
    """
    arrival = tools.reader.again(one.envelope, one.origin, one.body(tools.store_keys), opened=one.opened)
    if arrival.fact is None:
        raise Poison(arrival.trouble)
    return await _unpark(tools, one, arrival, partial(books.hear, fact=arrival.fact, catalog=tools.catalog))


async def discard(tools: Tools, one: ParkedFact, why: str) -> Applied:
    """Journal the first fact of a lane as refused and let the lane go on; raises NotFirst."""
    fact = Fact(envelope=one.envelope)
    arrival = Arrival(one.envelope, fact, one.origin, b"", opened=True)
    return await _unpark(tools, one, arrival, partial(books.discard, fact=fact, why=why))


async def _unpark(tools: Tools, one: ParkedFact, arrival: Arrival, hear: Callable[[Books], Heard]) -> Applied:
    batch = Batch("", [arrival], {})
    async with one_transaction(tools.database) as connection:
        questions = await _ask(connection, [one.envelope])
        lines = await subscription_rows.load(connection, books.floors(_readable([arrival])))
        before = await _answered(connection, questions, lines, [one.envelope])
        if not await parked.unpark(connection, one.envelope):
            raise NotFirst(one.envelope.id)
        turn = _Turn(tools, before, {})
        turn.hear(hear)
        await _save(connection, before, turn, batch)
    return turn.applied


class _Turn:
    """The pure middle of the transaction: from what was believed to what is believed, said and parked now."""

    def __init__(self, tools: Tools, before: Books, lanes: dict[str, str]) -> None:
        self.tools = tools
        self._lanes = lanes
        self.after = before.copy()
        self.applied = Applied()
        self.said: list[Said] = []

    def take(self, fresh: Iterable[Arrival]) -> None:
        """Hear each arrival, or park it: for its own trouble, or because one before it in its lane is parked."""
        for arrival in fresh:
            lane = self._blocked(arrival.envelope)
            if arrival.fact is not None and arrival.trouble is None and lane is None:
                self.hear(partial(books.hear, fact=arrival.fact, catalog=self.tools.catalog))
            else:
                self._park(arrival, lane)

    def hear(self, hear: Callable[[Books], Heard]) -> None:
        """Let the books hear one fact."""
        heard = hear(self.after)
        self.applied.heard.append(heard)
        self.said.extend(heard.said)

    async def quarantine(self, connection: Connection, copy: Arrival) -> None:
        """Keep aside a second content under a known id, and raise the alert about it once."""
        if await parked.quarantine(connection, copy, self.tools.store_keys):
            self._say_conflict(copy)

    def _say_conflict(self, copy: Arrival) -> None:
        account_id = self._account(copy.envelope)
        alert = AlertRaised(
            rule=Rule.CONFLICTING_COPY,
            subject=f"{copy.envelope.id}/{copy.content_sha256.hex()[:16]}",
            account_id=account_id,
            customer_id=copy.envelope.customer,
            as_of=copy.envelope.occurred_at,
            detail="This id came before with another content; the first one counts, this one is kept aside.",
        )
        self.applied.conflicts += 1
        self.said.append(books.say(self.after, alert, cause=copy.envelope, account_seq=None))

    def _park(self, arrival: Arrival, blocked: str | None) -> None:
        account_id = self._account(arrival.envelope)
        lane = blocked or account_id or parked.own_lane(arrival.envelope)
        self._lanes |= {lane: lane, arrival.envelope.customer or lane: lane}
        reason = arrival.trouble or FOLLOWS
        root = blocked is None
        self.applied.parked.append(Parked(arrival, lane, account_id, reason, root))
        event = FactParked(
            subject=f"{arrival.envelope.source.value}/{arrival.envelope.id}",
            account_id=account_id,
            as_of=arrival.envelope.received_at,
            source=arrival.envelope.source.value,
            fact_id=arrival.envelope.id,
            fact_type=arrival.envelope.type,
            lane=lane,
            reason=reason,
        )
        self.said.append(books.say(self.after, event, cause=arrival.envelope, account_seq=None))

    def _blocked(self, envelope: Envelope) -> str | None:
        """The lane in which this fact has to wait, if any."""
        if not self._lanes:
            return None
        named = account_of_platform(envelope.account) if envelope.account else None
        # The customer first: an account may have become its own only since its facts began to wait.
        known = (envelope.customer, self._account(envelope), named)
        return next((self._lanes[one] for one in known if one in self._lanes), None)

    def _account(self, envelope: Envelope) -> str | None:
        known = self.after.customers.get(envelope.customer or "")
        return known.account_id if known else None


@dataclass(frozen=True, slots=True)
class _Questions:
    """What was asked of the server and is not read yet."""

    met: Collection[str]
    named: Collection[str]
    customers: Cursor
    accounts: Cursor
    sequences: Cursor
    lanes: Cursor


async def _ask(connection: Connection, envelopes: Sequence[Envelope]) -> _Questions:
    """Take turns on customers and accounts, and ask for what hangs on them; nothing here waits for an answer."""
    met = {envelope.customer: envelope.livemode for envelope in envelopes if envelope.customer}
    named = {account_of_platform(envelope.account) for envelope in envelopes if envelope.account}
    return _Questions(
        met=met,
        named=named,
        customers=await customers.lock_customers(connection, met),
        accounts=await customers.lock_accounts(connection, met, named),
        sequences=await outbox.load_sequences(connection, met, named),
        lanes=await parked.lanes(connection, met, named),
    )


async def _answered(connection: Connection, questions: _Questions, lines: Cursor, fresh: Sequence[Envelope]) -> Books:
    """Read the answers: the books as they are before the batch."""
    locked = await customers.read_customers(questions.customers, questions.met)
    linked = {customer.account_id for customer in locked.customers.values()}
    before = Books(
        customers=locked.customers,
        account_seqs=await customers.read_accounts(questions.accounts, linked.union(questions.named)),
        topic_seqs=await outbox.read_sequences(questions.sequences),
        lines=await subscription_rows.read(lines),
    )
    moving = sorted({customer.customer_id for customer in _renamed(before, fresh)} - locked.new)
    if moving:  # Rare: a customer known by itself is named by the platform now, and its subscriptions are said again.
        ids = await subscription_rows.of_customers(connection, moving)
        floors = {line_id: subscription_rows.THE_LAST_ONE_ONLY for line_id in ids if line_id not in before.lines}
        before.lines |= await subscription_rows.read(await subscription_rows.load(connection, floors))
    return before


def _renamed(before: Books, fresh: Iterable[Envelope]) -> Iterable[Customer]:
    for envelope in fresh:
        known = before.customers.get(envelope.customer or "")
        if known and envelope.account and envelope.account != known.platform_id:
            yield known


def _claims(arrivals: Sequence[Arrival]) -> list[tuple[Identity, bytes | None, str | None]]:
    first = {arrival.identity: arrival for arrival in reversed(arrivals)}
    return [(identity, one.digest, one.envelope.api_version) for identity, one in first.items()]


def _sorted_out(
    arrivals: Sequence[Arrival], claimed: set[Identity], at: Mapping[TopicPartition, int]
) -> tuple[list[Arrival], list[Arrival]]:
    """The first copies of what is new, and the copies of what is not, each in order.

    A new fact below the position cannot be: what lies there is in the inbox, or the topic is not the one we knew.
    """
    fresh: list[Arrival] = []
    copies: list[Arrival] = []
    for arrival in arrivals:
        new = arrival.identity in claimed
        claimed.discard(arrival.identity)
        (fresh if new else copies).append(arrival)
        where = (arrival.origin.topic or "", arrival.origin.partition or 0)
        if new and (arrival.origin.offset or 0) < at[where]:
            raise Stop(
                f"{where[0]}/{where[1]} holds an unknown fact at offset {arrival.origin.offset}, and offset {at[where]}"
                f" comes next: the topic was recreated.  {positions.ANEW}"
            )
    return fresh, copies


async def _take_copies(connection: Connection, turn: _Turn, copies: Sequence[Arrival]) -> None:
    """Drop second copies, and keep aside those that say something else than the first."""
    if not copies:
        return
    known = await inbox.known(connection, [copy.identity for copy in copies])
    for copy in copies:
        turn.applied.duplicates += 1
        if known[copy.identity].contradicts(copy.digest, copy.envelope.api_version):
            await turn.quarantine(connection, copy)


async def _save(connection: Connection, before: Books, turn: _Turn, batch: Batch) -> None:
    """Write all that changed, concept by concept, and move the position; nothing here waits for an answer."""
    after, applied = turn.after, turn.applied
    changed = [one for customer_id, one in after.customers.items() if before.customers.get(customer_id) != one]
    advanced = {
        account: last for account, last in after.account_seqs.items() if before.account_seqs.get(account) != last
    }
    if changed:
        await customers.save_customers(connection, changed)
    if advanced:
        await customers.save_accounts(connection, advanced)
    await subscription_rows.save(connection, before.lines, after.lines)
    if applied.heard:
        origins = {arrival.identity: arrival.origin for arrival in reversed(batch.arrivals)}  # The first copy counts.
        await journal.write(connection, applied.heard, origins)
    await parked.write(connection, batch.group, applied.parked, turn.tools.store_keys)
    await outbox.write(connection, turn.said)
    if batch.spans:
        await positions.move(connection, batch.group, batch.spans)


async def _reach(connection: Connection, failpoints: Failpoints, name: str, arrivals: Sequence[Arrival]) -> None:
    """Reach a failpoint behind everything that was sent to the server, where any are armed at all."""
    if failpoints.armed:
        await (await connection.execute("SELECT 1")).fetchone()
        failpoints.reach(name, _ids(arrivals))


def _readable(arrivals: Iterable[Arrival]) -> list[Fact]:
    """The facts that may be heard.  One in trouble is not looked into again: that may be what went wrong."""
    return [arrival.fact for arrival in arrivals if arrival.fact is not None and arrival.trouble is None]


def _ids(arrivals: Iterable[Arrival]) -> list[str]:
    return [arrival.envelope.id for arrival in arrivals]
