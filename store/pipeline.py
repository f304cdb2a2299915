"""A pipeline whose statements leave together, when somebody waits for an answer.

psycopg sends each statement as it is executed.  Every sending wakes the server's process and costs both sides a system
call or two.  Here they gather, and one sending takes them all (measured in docs/decisions/0014).  Nothing else changes,
neither their order nor what is said of their errors, which come with the answers.

It rests on methods that psycopg does not promise; tests/store/test_pipeline.py holds them to what is expected.
"""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection, AsyncCursor, AsyncPipeline
from psycopg.abc import Params, PQGen, QueryNoTemplate
from psycopg.generators import send
from psycopg.rows import DictRow


class GatheringPipeline(AsyncPipeline):
    """Lets statements gather until an answer is asked for."""

    def _communicate_gen(self) -> PQGen[None]:
        """Send nothing yet.  A generator, like what it stands for."""
        yield from ()

    def _fetch_gen(self, *, flush: bool) -> PQGen[None]:
        """Send what has gathered, then fetch as ever, whatever the answers to the first of it say.

        The request to be answered goes with it.  After an error psycopg makes its own all the same: on a connection
        that is lost, it is what says so.
        """
        try:
            if self.command_queue:
                yield from self._send_gen()
                flush = False
        finally:
            yield from super()._fetch_gen(flush=flush)

    def _send_gen(self) -> PQGen[None]:
        """Hand all of it to the socket, waiting only where that is full.

        psycopg's own would wait until the socket can be written to, before and after, which takes two turns of the loop
        with whatever else is due in them.
        """
        while self.command_queue:
            self.command_queue.popleft()()
        self.pgconn.send_flush_request()  # It would be a sending of its own.
        yield from send(self.pgconn)


class GatheringConnection(AsyncConnection[DictRow]):
    """A connection whose pipelines gather.

    In a pipeline a statement that comes again is given the cursor that it had, which knows its types already: an answer
    is to be read before the connection's next pipeline begins.
    """

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        self._resting: defaultdict[QueryNoTemplate, list[AsyncCursor[DictRow]]] = defaultdict(list)
        self._lent: list[tuple[QueryNoTemplate, AsyncCursor[DictRow]]] = []

    async def execute(  # type: ignore[override]  # No templates: our statements are prepared by their text.
        self, query: QueryNoTemplate, params: Params | None = None, **options: Any
    ) -> AsyncCursor[DictRow]:
        """As psycopg's; in a pipeline it waits for nothing, not even for its turn on the connection."""
        if self._pipeline is None or options:
            return await super().execute(query, params, **options)
        cursor = self._lend(query)
        for awaited in cursor._execute_gen(query, params):  # noqa: SLF001  # What its `execute` waits for.
            raise AssertionError(f"a statement that gathers waits for {awaited}")
        return cursor

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[AsyncPipeline]:
        """As psycopg's; one within another sends what both have gathered when it ends."""
        if self._pipeline is None:
            self._pipeline = GatheringPipeline(self)
            self._take_back()
        async with super().pipeline() as pipeline:
            yield pipeline

    def _lend(self, query: QueryNoTemplate) -> AsyncCursor[DictRow]:
        resting = self._resting[query]
        cursor = resting.pop() if resting else self.cursor()
        self._lent.append((query, cursor))
        return cursor

    def _take_back(self) -> None:
        for query, cursor in self._lent:
            self._resting[query].append(cursor)
        self._lent.clear()
