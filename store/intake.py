"""From a topic into the books: in order, none skipped, acknowledged last.  Here trouble is told apart.

A *transient* failure means that the world is away: the whole batch again, in place, bounded, and then the process ends
with its offset unmoved.  *Poison* is anything else that goes wrong, our own bugs included: the batch is halved until
the fact is alone, and parked.  When more than a small share of the facts is poison, it is we who are broken: the group
stops.  Nothing here knows Faust.
"""

import asyncio
from collections import Counter as Counted
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from msgspec.structs import replace
from prometheus_client import Counter, Histogram

from models import stripe_events
from models.books import Outcome
from runtime import clock
from runtime.failures import Stop, Transient
from runtime.logs import get_logger
from store import positions, stops, traces
from store.apply import Applied, Batch, Tools, apply
from store.months import Months
from store.positions import Bounds, GapFound, Span, TopicPartition
from store.postgres import is_transient, needs_another_schema, was_canceled
from store.records import Arrival, Record

__all__ = ["Bounds", "Gap", "GapJudge", "Intake", "Limits", "Record"]

log = get_logger(__name__)

FACTS: Final = Counter("intake_facts", "Facts taken from topics, by what became of them", ["outcome"])
NOTES: Final = Counter("intake_reasons", "Facts whose outcome has a reason, by that reason", ["reason"])
UNKNOWN_VERSIONS: Final = Counter(
    "intake_unknown_api_versions", "Facts of API versions that we were not built for", ["api_version"]
)
RETRIES: Final = Counter("intake_retries", "Batches tried again because the world was away")
HOLES: Final = Counter("intake_holes", "Missing offsets that Kafka says are nothing: markers and compaction")
APPLY_SECONDS: Final = Histogram(
    "intake_apply_seconds",
    "One write transaction, BEGIN to COMMIT",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)

AHEAD_MAX: Final = 10_000
"""Records that were read ahead and not taken: twice what a batch may hold by its setting."""

RETRY_PAUSE_SECONDS_MIN: Final = 0.02


class Gap(StrEnum):
    """What lies between the position and the first offset that came."""

    LOST = "lost"  # The log starts beyond the position: facts are gone.
    SKIPPED = "skipped"  # There is a record that this consumer did not bring.
    HOLE = "hole"  # Nothing: a transaction's marker, or what compaction took.


class GapJudge(Protocol):
    """Asks Kafka what a gap is."""

    async def judge(self, topic: str, partition: int, expected: int, first: int) -> Gap:
        """Tell what lies in [expected, first)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to try, and how much poison is too much.  See `runtime.settings.BooksSettings`."""

    retry_count_max: int
    retry_pause_seconds_max: float
    retry_seconds_max: float
    parked_ratio_max: float
    parked_roots_max: int
    parked_window: int


class Intake:
    """The way into the books for one consumer group in one process."""

    def __init__(self, group: str, tools: Tools, limits: Limits, judge: GapJudge) -> None:
        self._group = group
        self._tools = tools
        self._limits = limits
        self._judge = judge
        self._months = Months(tools.database)
        self._roots: deque[bool] = deque(maxlen=limits.parked_window)
        self._ahead: dict[int, tuple[Record, Arrival]] = {}  # By the record's `id`, which it has as long as it is here.

    async def open(self) -> None:
        """Begin; raises Stop while the group is stopped, until an operator clears it."""
        reason = await stops.why_stopped(self._tools.database, self._group)
        if reason:
            raise Stop(stops.how_to_resume(self._group, reason))
        self._roots.extend(await stops.recent_roots(self._tools.database, self._group, self._limits.parked_window))

    async def positions(self, bounds: Mapping[TopicPartition, Bounds]) -> Mapping[TopicPartition, int]:
        """Where to read on in each partition.  Raises Stop when a topic was recreated."""
        return await positions.assigned(self._tools.database, self._group, bounds)

    async def take(self, records: Sequence[Record]) -> None:
        """Take records into the books; returns when all of them are committed or parked.

        Raises Stop when the process must end, with nothing acknowledged.
        """
        if not records:
            return
        try:
            await self._take(records)
        except Stop:
            raise
        except Exception as error:  # Whatever it is: nothing may be acknowledged after it.
            log.exception("intake failed", error=type(error).__name__)
            raise Stop(f"intake failed: {type(error).__name__}") from error

    def read_ahead(self, record: Record) -> None:
        """Read a record whose turn will come; whatever is wrong with it is said when it does."""
        with suppress(Exception):
            arrival = self._tools.reader.read(record)
            _ = arrival.digest  # The fact keeps it: it will be claimed by that.
            self._ahead[id(record)] = (record, arrival)
        if len(self._ahead) > AHEAD_MAX:  # Whoever read so far ahead lost them on the way.
            del self._ahead[next(iter(self._ahead))]

    async def _take(self, records: Sequence[Record]) -> None:
        for gap in _gaps_within(records):
            await self._hole(gap, records)
        holes: frozenset[TopicPartition] = frozenset()
        while True:
            try:
                await self._take_halving(records, holes)
            except GapFound as gap:
                holes |= await self._hole(gap, records)
            else:
                return

    async def _take_halving(self, records: Sequence[Record], holes: frozenset[TopicPartition]) -> None:
        """Apply records; of those that cannot be applied together, each half, until one is alone and parked."""
        try:
            await self._with_retries(records, holes, trouble=None)
        except (Stop, GapFound):
            raise
        except Exception as error:  # Poison, ours or theirs: whatever it is, one fact's trouble.
            if needs_another_schema(error):
                raise Stop(
                    f"the database is not of this release: {type(error).__name__}; `billing migrate status`"
                ) from error
            if len(records) == 1:
                await self._park(records[0], holes, error)
                return
            middle = len(records) // 2
            await self._take_halving(records[:middle], holes)
            await self._take_halving(records[middle:], holes)

    async def _park(self, record: Record, holes: frozenset[TopicPartition], error: Exception) -> None:
        log.error("fact cannot be applied", **traces.told_of_record(record), exc_info=error)
        await self._with_retries([record], holes, trouble=f"{type(error).__name__} while applying")

    async def _with_retries(
        self, records: Sequence[Record], holes: frozenset[TopicPartition], *, trouble: str | None
    ) -> None:
        """One transaction, again and again while the world is away; Stop when it stays away."""
        began, tries = clock.monotonic(), 0
        while True:
            try:
                applied = await self._apply(records, holes, trouble)
            except Exception as error:
                if not is_transient(error) or (was_canceled(error) and (len(records) > 1 or tries)):
                    raise
                tries += 1
                waited = clock.monotonic() - began
                if tries > self._limits.retry_count_max or waited > self._limits.retry_seconds_max:
                    raise Stop(
                        f"the world stayed away: {type(error).__name__}, {tries} tries in {waited:.1f} s"
                    ) from error
                RETRIES.inc()
                await asyncio.sleep(self._pause(tries))
            else:
                await self._count(applied)
                return

    async def _apply(self, records: Sequence[Record], holes: frozenset[TopicPartition], trouble: str | None) -> Applied:
        await self._months.keep_ahead(clock.now())
        arrivals = [self._arrival(record, trouble) for record in records]
        with APPLY_SECONDS.time(), traces.of_transaction():
            return await apply(self._tools, Batch(self._group, arrivals, _spans(records), holes))

    def _arrival(self, record: Record, trouble: str | None) -> Arrival:
        try:
            ahead = self._ahead.pop(id(record), None)
            arrival = ahead[1] if ahead else self._tools.reader.read(record)
        except Transient:
            raise
        except Exception:
            if trouble is None:
                raise
            return self._tools.reader.unread(record, trouble)  # Our own bug lies in the reading.
        return replace(arrival, trouble=trouble) if trouble and arrival.trouble is None else arrival

    def _pause(self, tries: int) -> float:
        return min(RETRY_PAUSE_SECONDS_MIN * 2.0 ** min(tries, 16), self._limits.retry_pause_seconds_max)

    async def _hole(self, gap: GapFound, records: Sequence[Record]) -> frozenset[TopicPartition]:
        """The partition of a gap that is nothing; Stop for any other gap."""
        topic, partition = gap.where
        found = await self._judge.judge(topic, partition, gap.expected, gap.first)
        for record in records:
            if (record.topic, record.partition, record.offset) == (topic, partition, gap.first):
                log.warning("gap", found=found.value, expected_offset=gap.expected, **traces.told_of_record(record))
        if found is not Gap.HOLE:
            raise Stop(f"gap in {topic}/{partition}, {found.value}: expected offset {gap.expected}, got {gap.first}")
        HOLES.inc(gap.first - gap.expected)
        return frozenset({gap.where})

    async def _count(self, applied: Applied) -> None:
        for outcome, count in Counted(heard.outcome.value for heard in applied.heard).items():
            FACTS.labels(outcome).inc(count)
        for reason, count in Counted(heard.reason for heard in applied.heard if heard.reason).items():
            NOTES.labels(reason).inc(count)
        for api_version, count in Counted(heard.fact.envelope.api_version for heard in applied.heard).items():
            if not stripe_events.knows_api_version(api_version):
                UNKNOWN_VERSIONS.labels(api_version).inc(count)
        for parked in applied.parked:
            log.warning("fact parked", reason=parked.reason, lane=parked.lane, **_told_of(parked.arrival))
        FACTS.labels(Outcome.PARKED.value).inc(len(applied.parked))
        FACTS.labels("duplicate").inc(applied.duplicates)
        FACTS.labels("conflict").inc(applied.conflicts)
        self._roots.extend(False for _ in applied.heard)
        self._roots.extend(parked.root for parked in applied.parked)
        await self._stop_if_we_are_the_bug()

    async def _stop_if_we_are_the_bug(self) -> None:
        roots = sum(self._roots)
        limits = self._limits
        if roots <= limits.parked_roots_max or roots <= len(self._roots) * limits.parked_ratio_max:
            return
        reason = f"{roots} of the last {len(self._roots)} facts were parked for trouble of their own"
        await stops.stop(self._tools.database, self._group, reason)
        raise Stop(f"{self._group} stops: {reason}")


def _told_of(arrival: Arrival) -> dict[str, object]:
    origin = arrival.origin
    return traces.told_of(arrival.envelope.id, origin.topic, origin.partition, origin.offset)


def _gaps_within(records: Sequence[Record]) -> list[GapFound]:
    """Where offsets are missing between two records of one partition."""
    gaps: list[GapFound] = []
    expected: dict[TopicPartition, int] = {}
    for record in records:
        where = (record.topic, record.partition)
        if record.offset > expected.get(where, record.offset):
            gaps.append(GapFound(where, expected[where], record.offset))
        expected[where] = record.offset + 1
    return gaps


def _spans(records: Sequence[Record]) -> dict[TopicPartition, Span]:
    spans: dict[TopicPartition, Span] = {}
    for record in records:
        where = (record.topic, record.partition)
        first = spans[where].first if where in spans else record.offset
        spans[where] = Span(first, record.offset + 1)
    return spans
