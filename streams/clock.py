"""`python -m streams.clock`: does what falls due by wall time, for the books.

Today that is facts that wait for their owner.  Two facts that come at the very same moment may miss each other, so what
is ready is presented again; and what nobody tells of within half a minute, Stripe is asked about.  Any number of clocks
may run: whatever one of them does it does in a transaction that a second one finds done.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Final

import uvloop
from prometheus_client import Counter, Gauge

from runtime import garbage, health, logs, settings
from runtime.failpoints import Failpoints
from runtime.keys import Keyring
from runtime.settings import ClockSettings
from store import apply, catalog, waiting
from store.apply import Tools
from store.postgres import Database, is_transient
from store.records import Reader
from store.waiting import WaitingFact

PROCESS: Final = "clock"
ROWS_MAX: Final = 200

PRESENTED: Final = Counter("clock_presented_facts", "Facts that waited and were presented again")
ASKED: Final = Counter("clock_asked_facts", "Facts about which Stripe was asked: nobody had told whose they are")
FAILED: Final = Counter("clock_failures", "Facts that could not be presented or asked about, by why", ["error"])
WAITING: Final = Gauge("waiting_facts", "Facts that wait for their owner")

log = logs.get_logger(__name__)


class Clock:
    """One clock of the books."""

    def __init__(self, tools: Tools, ask_after_seconds: float) -> None:
        self._tools = tools
        self._ask_after_seconds = ask_after_seconds

    async def run(self, stopping: asyncio.Event, every_seconds: float) -> None:
        """Tick until *stopping* is set; outages are waited out."""
        while not stopping.is_set():
            try:
                await self.tick()
            except Exception as failure:
                if not is_transient(failure):
                    raise
                log.warning("the clock waits", error=type(failure).__name__)
            await _pause(stopping, every_seconds)

    async def tick(self) -> None:
        """Present what is ready, ask about what has waited for too long."""
        database = self._tools.database
        for one in await waiting.ready(database, rows_max=ROWS_MAX):
            await self._try(one, apply.present, PRESENTED)
        for one in await waiting.unasked(database, seconds=self._ask_after_seconds, rows_max=ROWS_MAX):
            await self._try(one, apply.ask, ASKED)
        WAITING.set(await waiting.count(database))

    async def _try(
        self, one: WaitingFact, act: Callable[[Tools, WaitingFact], Awaitable[object]], done: Counter
    ) -> None:
        """One fact's trouble is not its neighbours'."""
        try:
            await act(self._tools, one)
        except Exception as failure:
            if is_transient(failure):
                raise
            FAILED.labels(type(failure).__name__).inc()
            log.exception("a fact still waits", fact_id=one.fact.envelope.id, error=type(failure).__name__)
        else:
            done.inc()


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return


async def clock(config: ClockSettings) -> None:
    """Run one clock until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for signalled in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signalled, stopping.set)
    database = Database(config.database_url.get_secret_value(), application_name=PROCESS)
    async with database:
        one = Clock(_tools(config, database), config.ask_after_seconds)
        answers = await health.serve(config.metrics_host, config.metrics_port, database.ping)
        garbage.settle()
        try:
            await one.run(stopping, config.tick_seconds)
        finally:
            await answers.cleanup()


def _tools(config: ClockSettings, database: Database) -> Tools:
    return Tools(
        database=database,
        catalog=catalog.read(config.catalog_file),
        reader=Reader(Keyring.from_file(config.edge_keys_file)),
        store_keys=Keyring.from_file(config.store_keys_file),
        failpoints=Failpoints(config.failpoints_dir),
    )


def main() -> None:
    """Run until SIGTERM."""
    config = settings.load(ClockSettings)
    logs.configure(PROCESS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(clock(config))


if __name__ == "__main__":
    main()
