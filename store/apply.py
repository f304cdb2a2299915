"""The only write transaction of the pipeline.

One transaction takes a batch of arrivals into the books: take turns, which moves the position, claim, load, decide,
save, journal, announce.  Everybody takes locks in one order: positions, customers, accounts, then rows.  All that is
asked of the server before deciding goes out at once, and all that is written after it, so a batch costs two waits.

Redriving and discarding a parked fact is the same transaction without a topic behind it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from models import books
from models.base import Envelope
from models.books import Books, Heard, Outcome, Said
from models.catalog import Catalog
from models.customers import Customer, account_of_platform
from models.events import AlertRaised, FactParked, Rule
from models.stripe_events import Fact
from runtime.failpoints import Failpoints
from runtime.failures import Poison, Stop, Transient
from runtime.keys import Keyring
from store import customers, inbox, journal, objects, outbox, parked, payments, positions, traces, waiting
from store import subscriptions as subscription_rows
from store.customers import Whose
from store.inbox import Identity
from store.parked import Parked, ParkedFact
from store.positions import Span, TopicPartition
from store.postgres import Connection, Cursor, Database, one_transaction
from store.records import Arrival, Origin, Reader
from store.traces import Step
from store.waiting import WaitingFact

FOLLOWS: Final = "follows"
"""The reason of a fact that is parked only because one before it is."""


Hear = Callable[[Books], tuple[Heard, ...]]


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
    readable = _readable(batch.arrivals)
    async with one_transaction(tools.database) as connection:
        taken = await positions.take(connection, batch.group, batch.spans)
        questions = await _ask(connection, [arrival.envelope for arrival in batch.arrivals], readable)
        claimed = await inbox.claim(connection, _claims(batch.arrivals))
        at = await positions.check(taken, batch.group, batch.spans, batch.holes)
        fresh, copies = _sorted_out(batch.arrivals, await inbox.read_claimed(claimed), at)
        known = await _answered(connection, questions, [arrival.envelope for arrival in fresh])
        turn = _Turn(tools, known, await parked.read_lanes(questions.lanes), _origins(batch.arrivals))
        traces.begin(Step.DECIDE)
        turn.take(fresh)
        await _take_copies(connection, turn, copies)
        traces.begin(Step.SAVE)
        await _save(connection, turn, batch)
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
    return await _unpark(tools, one, arrival, partial(books.take, fact=arrival.fact, catalog=tools.catalog))


async def discard(tools: Tools, one: ParkedFact, why: str) -> Applied:
    """Journal the first fact of a lane as refused and let the lane go on; raises NotFirst."""
    fact = Fact(envelope=one.envelope)
    arrival = Arrival(one.envelope, fact, one.origin, b"", opened=True)
    return await _unpark(tools, one, arrival, lambda known: (books.discard(known, fact, why),))


async def present(tools: Tools, one: WaitingFact) -> Applied:
    """Take a fact that waits into the books, if it is known by now whose it is."""
    async with one_transaction(tools.database) as connection:
        questions = await _ask(connection, [one.fact.envelope], [one.fact])
        known = await _answered(connection, questions, [one.fact.envelope])
        turn = _Turn(tools, known, await parked.read_lanes(questions.lanes), {})
        turn.hear(partial(books.present, catalog=tools.catalog))
        await _save(connection, turn, Batch("", [], {}))
    return turn.applied


async def ask(tools: Tools, one: WaitingFact) -> None:
    """Ask Stripe whose a fact is that waits, once."""
    async with one_transaction(tools.database) as connection:
        if await waiting.asked(connection, one.fact.envelope):
            request = books.ask_for_owner(one.fact)
            said = books.say(Books(), request, cause=one.fact.envelope, account_seq=None)
            await outbox.write(connection, [said])


async def _unpark(tools: Tools, one: ParkedFact, arrival: Arrival, hear: Hear) -> Applied:
    batch = Batch("", [arrival], {})
    async with one_transaction(tools.database) as connection:
        questions = await _ask(connection, [one.envelope], _readable([arrival]))
        known = await _answered(connection, questions, [one.envelope])
        if not await parked.unpark(connection, one.envelope):
            raise NotFirst(one.envelope.id)
        turn = _Turn(tools, known, {}, _origins(batch.arrivals))
        turn.hear(hear)
        await _save(connection, turn, batch)
    return turn.applied


@dataclass(frozen=True, slots=True)
class _Known:
    """The books as they are before a batch, and where those came from that wait in them."""

    books: Books
    origins: dict[Identity, Origin]


class _Turn:
    """The pure middle of the transaction: from what was believed to what is believed, said and parked now."""

    def __init__(self, tools: Tools, known: _Known, lanes: dict[str, str], origins: Mapping[Identity, Origin]) -> None:
        self.tools = tools
        self._lanes = lanes
        self.before = known.books
        self.after = known.books.copy()
        self.origins = known.origins | dict(origins)
        self.applied = Applied()
        self.said: list[Said] = []

    def take(self, fresh: Iterable[Arrival]) -> None:
        """Hear each arrival, or park it: for its own trouble, or because one before it in its lane is parked."""
        for arrival in fresh:
            lane = self._blocked(arrival)
            if arrival.fact is not None and arrival.trouble is None and lane is None:
                self.hear(partial(books.take, fact=arrival.fact, catalog=self.tools.catalog))
            else:
                self._park(arrival, lane)

    def hear(self, hear: Hear) -> None:
        """Let the books hear a fact, and those that waited for it."""
        for heard in hear(self.after):
            self.applied.heard.append(heard)
            self.said.extend(heard.said)

    async def quarantine(self, connection: Connection, copy: Arrival) -> None:
        """Keep aside a second content under a known id, and raise the alert about it once."""
        if await parked.quarantine(connection, copy, self.tools.store_keys):
            self._say_conflict(copy)

    def _say_conflict(self, copy: Arrival) -> None:
        account_id = self._account(copy)
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
        account_id = self._account(arrival)
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

    def _blocked(self, arrival: Arrival) -> str | None:
        """The lane in which this fact has to wait, if any."""
        if not self._lanes:
            return None
        named = account_of_platform(arrival.envelope.account) if arrival.envelope.account else None
        # The customer first: an account may have become its own only since its facts began to wait.
        known = (arrival.envelope.customer, self._account(arrival), named)
        return next((self._lanes[one] for one in known if one in self._lanes), None)

    def _account(self, arrival: Arrival) -> str | None:
        return books.account_of_fact(self.after, arrival.fact or Fact(envelope=arrival.envelope))


@dataclass(frozen=True, slots=True)
class _Questions:
    """What was asked of the server and is not read yet."""

    met: Collection[str]
    named: Collection[str]
    customers: Cursor
    accounts: Cursor
    sequences: Cursor
    lanes: Cursor
    lines: Cursor | None  # None where no fact touches any.
    pieces: Cursor | None
    object_lines: Cursor | None
    waiting: Cursor | None


async def _ask(connection: Connection, envelopes: Sequence[Envelope], facts: Sequence[Fact]) -> _Questions:
    """Take turns on customers, accounts and objects, and ask for what hangs on them; nothing waits for an answer."""
    met = {envelope.customer: envelope.livemode for envelope in envelopes if envelope.customer}
    named = {account_of_platform(envelope.account) for envelope in envelopes if envelope.account}
    whose = Whose(met, named, books.touched(fact for fact in facts if not fact.envelope.customer))
    touched = sorted(books.touched(facts))
    floors = books.floors(facts)
    return _Questions(
        met=met,
        named=named,
        customers=await customers.lock_customers(connection, met, whose.object_ids),
        accounts=await customers.lock_accounts(connection, whose),
        sequences=await outbox.load_sequences(connection, whose),
        lanes=await parked.lanes(connection, whose),
        lines=await subscription_rows.load(connection, floors) if floors else None,
        pieces=await objects.load(connection, touched) if touched else None,
        object_lines=await objects.load_lines(connection, books.object_floors(facts)) if touched else None,
        waiting=await waiting.load(connection, touched) if touched else None,
    )


async def _answered(connection: Connection, questions: _Questions, fresh: Sequence[Envelope]) -> _Known:
    """Read the answers: the books as they are before the batch."""
    locked = await customers.read_customers(questions.customers, questions.met)
    linked = {customer.account_id for customer in locked.customers.values()}
    before = Books(
        customers=locked.customers,
        account_seqs=await customers.read_accounts(questions.accounts, linked.union(questions.named)),
        topic_seqs=await outbox.read_sequences(questions.sequences),
        lines=await subscription_rows.read(questions.lines) if questions.lines else {},
    )
    if questions.pieces and questions.object_lines:
        await _add_pieces(before, questions.pieces)
        before.object_lines |= await objects.read_lines(questions.object_lines)
    known = _Known(before, await _add_waiting(connection, before, questions.waiting) if questions.waiting else {})
    moving = sorted({customer.customer_id for customer in _renamed(before, fresh)} - locked.new)
    if moving:  # Rare: a customer known by itself is named by the platform now, and what is its own is said again.
        await _add_owned(connection, before, moving)
    return known


async def _add_pieces(before: Books, loaded: Cursor) -> None:
    """Add causes to the books; raises Transient when one belongs to somebody whose turn we have not taken."""
    found = await objects.read(loaded)
    before.pieces |= found.pieces
    before.payments |= found.payments
    for piece in found.pieces.values():
        if piece.customer_id and piece.customer_id not in before.customers:
            raise Transient(f"met by two at once: {piece.object_id} has become customer {piece.customer_id}'s")
        if piece.account_id and piece.account_id not in before.account_seqs:
            raise Transient(f"met by two at once: {piece.object_id} has become account {piece.account_id}'s")


async def _add_waiting(connection: Connection, before: Books, loaded: Cursor) -> dict[Identity, Origin]:
    """Add the facts that wait for what the batch touches, with what they touch; where they came from."""
    found = await waiting.read(loaded)
    if not found:
        return {}
    facts = [one.fact for one in found]
    before.waiting |= {fact.envelope.identity: fact for fact in facts}
    others = books.touched(facts) - before.pieces.keys()
    if others:
        await _add_pieces(before, await objects.load(connection, others))
    lines = await objects.read_lines(await objects.load_lines(connection, books.object_floors(facts)))
    for object_id, line in lines.items():  # Of two parts of a line the longer one has the other in it.
        before.object_lines[object_id] = max(line, before.object_lines.get(object_id, ()), key=len)
    return {one.fact.envelope.identity: one.origin for one in found}


async def _add_owned(connection: Connection, before: Books, customer_ids: Sequence[str]) -> None:
    """Add what these customers subscribed to and paid."""
    ids = await subscription_rows.of_customers(connection, customer_ids)
    floors = {line_id: subscription_rows.THE_LAST_ONE_ONLY for line_id in ids if line_id not in before.lines}
    before.lines |= await subscription_rows.read(await subscription_rows.load(connection, floors))
    pieces = set(await objects.of_customers(connection, customer_ids)) - before.pieces.keys()
    if pieces:
        await _add_pieces(before, await objects.load(connection, pieces))


def _renamed(before: Books, fresh: Iterable[Envelope]) -> Iterable[Customer]:
    for envelope in fresh:
        known = before.customers.get(envelope.customer or "")
        if known and envelope.account and envelope.account != known.platform_id:
            yield known


def _origins(arrivals: Sequence[Arrival]) -> dict[Identity, Origin]:
    return {arrival.identity: arrival.origin for arrival in reversed(arrivals)}  # The first copy counts.


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


async def _save(connection: Connection, turn: _Turn, batch: Batch) -> None:
    """Write all that changed, concept by concept; nothing here waits for an answer."""
    before, after, applied = turn.before, turn.after, turn.applied
    changed = [one for customer_id, one in after.customers.items() if before.customers.get(customer_id) != one]
    advanced = {
        account: last for account, last in after.account_seqs.items() if before.account_seqs.get(account) != last
    }
    if changed:
        await customers.save_customers(connection, changed)
    await subscription_rows.save(connection, before.lines, after.lines)
    await objects.save(connection, before, after)
    await payments.save(connection, before.payments, after.payments)
    await _save_waiting(connection, turn)
    journaled = [heard for heard in applied.heard if heard.outcome is not Outcome.WAITING]
    await journal.write(connection, journaled, turn.origins, advanced)
    await parked.write(connection, batch.group, applied.parked, turn.tools.store_keys)
    await outbox.write(connection, turn.said)


async def _save_waiting(connection: Connection, turn: _Turn) -> None:
    before, after = turn.before.waiting, turn.after.waiting
    await waiting.take(connection, sorted(before.keys() - after.keys()))
    await waiting.write(connection, [fact for of, fact in after.items() if of not in before], turn.origins)


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
