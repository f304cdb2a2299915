"""Runs a trial: start the side, warm it, load it, wait until all of it is in and said, and look closely."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from typing import Final, NamedTuple

from bench import cost, evidence
from bench.cost import Cost
from bench.evidence import Evidence, InBooks
from bench.generator import Generator
from bench.moments import Moments
from bench.offsets import Ends, Offsets, grown
from bench.rows import Kept, Mark, Rows
from bench.sides import Books, Side
from bench.trial import Load, Trial
from bench.watch import Watch, watching
from runtime import clock

LOOK_SECONDS: Final = 0.02
STALL_SECONDS_MAX: Final = 30.0
"""Without any progress for so long a side is stuck, and the trial ends."""

SLOWEST_PER_SECOND: Final = 100
"""No door is so slow that it accepts fewer."""

Series = dict[str, list[tuple[float, float]]]
Alongside = Callable[[Side], AbstractAsyncContextManager[None]]
"""What somebody does with a side while it is under load: a profile, say."""


def _nothing(_: Side) -> AbstractAsyncContextManager[None]:
    return nullcontext()


async def run_trial(
    side: Side, load: Load, *, rss_every_seconds: float | None = None, alongside: Alongside = _nothing
) -> Trial:
    """One trial of *side*, which is started and stopped around it; memory is looked at as often as asked for.

    *alongside* is entered when the side is warm, and left when all is said.  What somebody else has written, the trial
    before above all, is on the disk by then: the kernel writes half a minute late, and whoever syncs meanwhile waits.
    """
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(os.sync)
        await stack.enter_async_context(side)
        offsets = await stack.enter_async_context(Offsets(side.ground.stack.kafka_options))
        generator = await stack.enter_async_context(Generator(load, side.door))
        behind = stack.enter_context(_behind(side)) if side.books else None
        running = _Running(side, load, offsets, generator, behind)
        return evidence.judge(await running.run(rss_every_seconds, alongside))


class Stuck(RuntimeError):
    """A side that does not answer: there is nothing to be judged."""


class Talk(NamedTuple):
    """Events that were decided on, and messages that left."""

    to_say: int
    said: int


class _Behind:
    """What stands behind a door: books that are watched, and topics that something is said in."""

    def __init__(self, books: Books, watch: Watch) -> None:
        self.books = books
        self.watch = watch
        self.rows = Rows(books.database_url)


class _Running:
    """One trial under way."""

    def __init__(self, side: Side, load: Load, offsets: Offsets, generator: Generator, behind: _Behind | None) -> None:
        self._side = side
        self._load = load
        self._offsets = offsets
        self._generator = generator
        self._behind = behind
        self._moments = Moments()
        self._problems: list[str] = []
        self._series: Series = {}

    async def run(self, rss_every_seconds: float | None, alongside: Alongside) -> Evidence:
        """From the warmup to the last event said; everything that was seen."""
        await self._warm()
        mark = self._behind.rows.mark() if self._behind else None
        topic = await self._offsets.ends([self._side.door.topic])
        said = await self._said_ends()
        before = self._cost()
        async with alongside(self._side), self._sampled(rss_every_seconds):
            await self._send()
            await self._all_in()
            talk = await self._all_said(mark, said)
        ended, after = clock.monotonic(), self._cost()
        return Evidence(
            side=self._side.name,
            load=self._load,
            answers=await self._generator.answers(),
            arrived=grown(topic, await self._offsets.ends([self._side.door.topic])),
            in_books=self._in_books(mark, topic, talk, ended),
            before=before,
            after=after,
            series=self._series,
            problems=[*self._problems, *self._side.problems(), *self._moments.problems()],
        )

    async def _warm(self) -> None:
        """Whatever is left of an earlier trial is in, and so is the warmup."""
        await self._all_in()
        mark, said = self._behind.rows.mark() if self._behind else None, await self._said_ends()
        await self._generator.warm()
        await self._all_in()
        await self._all_said(mark, said)

    async def _send(self) -> None:
        load = self._load
        seconds = load.events * (1 + load.duplicate_share) / (load.rate_per_second or SLOWEST_PER_SECOND)
        try:
            await self._generator.go(seconds + STALL_SECONDS_MAX)
        except TimeoutError:
            raise Stuck("not every request was answered in time") from None

    async def _all_in(self) -> None:
        """The books have reached the end of the topic."""
        if self._behind is None:
            return
        ends = await self._offsets.ends([self._side.door.topic])
        wanted = {where.partition: end for where, end in ends.items()}
        watch = self._behind.watch

        async def done() -> int:
            positions = watch.positions()
            return sum(max(0, end - positions.get(partition, 0)) for partition, end in wanted.items())

        await self._until_none(done, "not in the books")

    async def _all_said(self, mark: Mark | None, before: Ends) -> Talk:
        """What was decided on since *mark* has left: how much was to be said, and how much was."""
        if self._behind is None or mark is None:
            return Talk(0, 0)
        rows = self._behind.rows

        async def talk() -> Talk:
            to_say = rows.to_say(mark)  # Asked anew each time: whoever waited may have been heard only now.
            return Talk(to_say, grown(before, await self._said_ends()))

        async def left() -> int:
            seen = await talk()
            return seen.to_say - seen.said

        await self._until_none(left, "not said")
        return await talk()

    async def _until_none(self, left: Callable[[], Awaitable[int]], what: str) -> None:
        """Back when nothing is *left*, or when it has not become less for too long: that is a problem, not an error."""
        fewest, since = await left(), clock.monotonic()
        while fewest > 0:
            await asyncio.sleep(LOOK_SECONDS)
            now = clock.monotonic()
            if (seen := await left()) < fewest:
                fewest, since = seen, now
            elif now - since > STALL_SECONDS_MAX:
                self._problems.append(f"{fewest} were {what} after {STALL_SECONDS_MAX:g} s without progress")
                return

    async def _said_ends(self) -> Ends:
        return await self._offsets.ends(self._behind.books.said_topics) if self._behind else {}

    def _cost(self) -> Cost:
        pids = self._side.pids | {"load": [self._generator.pid]}
        return cost.read(pids, looking_on=self._behind.watch.backend_pid if self._behind else None)

    def _in_books(self, mark: Mark | None, begins: Ends, talk: Talk, said_at: float) -> InBooks | None:
        if self._behind is None or mark is None:
            return None
        first = {where.partition: offset for where, offset in begins.items()}
        committed: dict[str, float | None] = {}
        kept = waiting = 0
        for one in self._behind.rows.kept(mark, self._side.door.topic):
            if one.offset < first[one.partition]:
                continue  # Of a load before this one: it waited until now.
            committed[one.fact_id] = self._committed_at(one, self._behind.watch)
            kept += 1
            waiting += one.waits
        parked = self._behind.rows.parked(mark)
        return InBooks(committed, kept, parked, talk.to_say, talk.said, said_at, waiting)

    def _committed_at(self, kept: Kept, watch: Watch) -> float | None:
        """When the server says that it committed it, provided that this was ever seen; else when it was seen."""
        seen_at = watch.seen_at(kept.partition, kept.offset)
        if seen_at is None or kept.committed_at is None:
            return seen_at
        return self._moments.on_stopwatch(kept.committed_at)

    @asynccontextmanager
    async def _sampled(self, every_seconds: float | None) -> AsyncIterator[None]:
        """Memory is looked at every so often until the block ends."""
        sampling = asyncio.create_task(self._sample(every_seconds)) if every_seconds else None
        try:
            yield
        finally:
            if sampling is not None:
                sampling.cancel()
                with suppress(asyncio.CancelledError):
                    await sampling

    async def _sample(self, every_seconds: float) -> None:
        began = clock.monotonic()
        while True:
            seen = self._cost().rss_mb
            for name, mb in seen.items():
                self._series.setdefault(name, []).append((round(clock.monotonic() - began, 2), round(mb, 2)))
            await asyncio.sleep(every_seconds)


@contextmanager
def _behind(side: Side) -> Iterator[_Behind]:
    assert side.books is not None, "only a whole side has something behind its door"
    with watching(side.books, side.door.topic) as watch:
        yield _Behind(side.books, watch)
