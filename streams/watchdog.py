"""Ends a worker that is alive and stuck.

A Faust consumer can stop reading without a word: its topic was deleted, a rebalance never ended, a task hangs.  The
watchdog asks Kafka itself, by a consumer of its own, and looks for symptoms.  One that stays the same for
its limit ends the process; a worker that gets on changes its symptoms all the time.  While Kafka does not answer
there are none: an outage is nobody's fault here.
"""

import asyncio
import faulthandler
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from runtime import clock
from runtime.logs import get_logger
from streams.ending import End
from streams.onlooker import onlooker
from streams.progress import Progress

LOOKS_PER_LIMIT: Final = 5
BLOCKED_LIMITS: Final = 2
"""After so many limits without a look, the event loop itself is blocked, and a thread of C ends the process."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TopicMissing:
    """The broker knows no such topic: a worker waits for it in silence."""

    topic: str


@dataclass(frozen=True, slots=True)
class Unassigned:
    """The group has not told this worker its share."""


@dataclass(frozen=True, slots=True)
class Behind:
    """There is more in the log than we have taken, and this is how far we came.

    Where something of it is already in hand and others are before it, how far we came with all of them together: a
    backlog in a slow database makes each partition wait for its turn, and nobody is stuck meanwhile.
    """

    topic: str
    partition: int
    position: int
    while_others: int | None = None


Symptom = TopicMissing | Unassigned | Behind


class Symptoms:
    """Since when each symptom has been seen without a break."""

    def __init__(self, limit_seconds: float, rebalance_seconds: float) -> None:
        self._limit_seconds = limit_seconds
        self._rebalance_seconds = rebalance_seconds
        self._since: dict[Symptom, float] = {}

    def lasting(self, now: float, seen: Iterable[Symptom]) -> list[Symptom]:
        """Those of *seen* that have lasted for their limit; what is not seen now is over."""
        self._since = {symptom: self._since.get(symptom, now) for symptom in seen}
        return [symptom for symptom, since in self._since.items() if now - since >= self.limit_of(symptom)]

    def limit_of(self, symptom: Symptom) -> float:
        """How long it may last.  A rebalance waits for a peer's batch, and nobody is stuck meanwhile."""
        return self._limit_seconds + (self._rebalance_seconds if isinstance(symptom, Unassigned) else 0)


class Looks(Protocol):
    """Tells a record in the log from a hole at its end."""

    async def holds_record(self, topic: str, partition: int, start: int, end: int) -> bool:
        """Whether there is a record in [start, end)."""


class Watchdog:
    """Watches one worker's progress in its topics."""

    def __init__(
        self,
        options: Mapping[str, Any],
        topics: frozenset[str],
        progress: Progress,
        looks: Looks,
        *,
        limit_seconds: float,
        rebalance_seconds: float,
        end: End,
    ) -> None:
        self._options = options
        self._topics = topics
        self._progress = progress
        self._looks = looks
        self._limit_seconds = limit_seconds
        self._end = end
        self._symptoms = Symptoms(limit_seconds, rebalance_seconds)
        self._ends: dict[tuple[str, int], int] = {}

    async def watch(self) -> None:
        """Look again and again; returns only if ending the process does."""
        reason = None
        try:
            while reason is None:
                faulthandler.dump_traceback_later(self._limit_seconds * BLOCKED_LIMITS, exit=True)
                await asyncio.sleep(self._limit_seconds / LOOKS_PER_LIMIT)
                reason = await self.look()
        finally:
            faulthandler.cancel_dump_traceback_later()
        self._end(reason)

    async def look(self) -> str | None:
        """Look once.  Why the process must end, if it must."""
        seen: list[Symptom] = []
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(self._limit_seconds):
                seen = await self._see()
        for symptom in self._symptoms.lasting(clock.monotonic(), seen):
            if not isinstance(symptom, Behind) or await self._is_record(symptom):
                return f"stuck for {self._symptoms.limit_of(symptom)} s: {symptom}"
        return None

    async def _see(self) -> list[Symptom]:
        async with onlooker(self._options) as consumer:
            missing = self._topics - await consumer.topics()
            if missing:
                return [TopicMissing(topic) for topic in sorted(missing)]
            if not self._progress.settled:
                return [Unassigned()]
            return await self._behind(consumer)

    async def _behind(self, consumer: AIOKafkaConsumer) -> list[Symptom]:
        positions = self._progress.positions
        asked = await consumer.end_offsets([TopicPartition(*where) for where in positions])
        self._ends = {(where.topic, where.partition): end for where, end in asked.items()}
        return [
            Behind(*where, position, self._progress.committed_records if self._progress.waits_its_turn(where) else None)
            for where, position in positions.items()
            if position < self._ends[where]
        ]

    async def _is_record(self, behind: Behind) -> bool:
        """Whether what lies ahead is a record at all; the end of a log may be a transaction's marker."""
        end = self._ends[behind.topic, behind.partition]
        try:
            async with asyncio.timeout(self._limit_seconds):
                return await self._looks.holds_record(behind.topic, behind.partition, behind.position, end)
        except (KafkaError, OSError, TimeoutError) as failure:
            log.warning("cannot look closer", error=type(failure).__name__)
            return False
