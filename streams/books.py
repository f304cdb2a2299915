"""`python -m streams.books`: one Faust worker of the books, from stripe.events into PostgreSQL.

Scale by starting more of it, each with its own WORKER_ORDINAL, up to the topic's partitions.
"""

import asyncio
import logging
from typing import Any, Final

import uvloop
from faust import StreamT
from mode import Service

from models.topics import STRIPE_EVENTS
from runtime import failures, garbage, health, kafka, logs, settings, tracing
from runtime.failpoints import Failpoints
from runtime.keys import Keyring
from runtime.settings import BooksSettings
from runtime.tracing import Tracer
from store import catalog
from store.apply import Tools
from store.intake import Intake, Limits
from store.postgres import Database
from store.records import Reader
from store.traces import Batches
from streams.agents import BooksAgent
from streams.app import make_app, raw_topic
from streams.broker import wait_for_broker
from streams.ending import end_process
from streams.gaps import KafkaGapJudge
from streams.gathering import Gathering
from streams.patience import ask_patiently
from streams.progress import Progress
from streams.transport import PositionedApp
from streams.watchdog import Watchdog
from streams.worker import TimelyWorker

PROCESS: Final = "books"
STOP_SECONDS_MAX: Final = 8.0
"""Below the usual grace period of orchestrators (10 s)."""

log = logs.get_logger(__name__)


class NotReady(Exception):
    """This worker may not have work yet."""


class Books(Service):
    """Everything that the books need beside Faust; starts before the app, ends after it."""

    def __init__(self, config: BooksSettings, app: PositionedApp, progress: Progress, tracer: Tracer | None) -> None:
        super().__init__()
        self._config = config
        self._app = app
        self._progress = progress
        self._judge = KafkaGapJudge(kafka.client_options(config))
        self._failpoints = Failpoints(config.failpoints_dir)
        self._database = Database(config.database_url.get_secret_value(), application_name=PROCESS)
        self._intake = Intake(config.kafka_group, self._tools(), _limits(config), self._judge)
        self._agent = BooksAgent(
            self._intake,
            progress,
            self._failpoints,
            Gathering(config.batch_records_max, config.batch_fill_seconds_max),
            end_process,
            Batches(tracer, config.kafka_group) if tracer else None,
        )

    async def run_agent(self, stream: StreamT[bytes]) -> None:
        """What Faust runs."""
        await self._agent.run(stream)

    async def on_start(self) -> None:
        """Open the intake, and be asked how we are."""
        await self.add_async_context(self._database)
        self._app.ask_positions = lambda bounds: self._patiently(lambda: self._intake.positions(bounds))
        try:
            await self._patiently(self._intake.open)
        except failures.Stop as stop:
            end_process(stop.reason)
        self._health = await health.serve(self._config.metrics_host, self._config.metrics_port, self._ready)
        garbage.settle()
        self.add_future(self._watchdog().watch())

    async def on_stop(self) -> None:
        """Nobody asks any more."""
        await self._health.cleanup()

    def _tools(self) -> Tools:
        return Tools(
            database=self._database,
            catalog=catalog.read(self._config.catalog_file),
            reader=Reader(Keyring.from_file(self._config.edge_keys_file)),
            store_keys=Keyring.from_file(self._config.store_keys_file),
            failpoints=self._failpoints,
        )

    def _watchdog(self) -> Watchdog:
        return Watchdog(
            kafka.client_options(self._config),
            frozenset({STRIPE_EVENTS.name}),
            self._progress,
            self._judge,
            limit_seconds=self._config.watchdog_seconds,
            rebalance_seconds=self._config.rebalance_timeout_seconds,
            end=end_process,
        )

    async def _ready(self) -> None:
        if not self._progress.positions:
            raise NotReady("no partitions are assigned")
        await self._database.ping()

    async def _patiently(self, ask: Any) -> Any:
        return await ask_patiently(ask, self._config.retry_seconds_max)


def _limits(config: BooksSettings) -> Limits:
    return Limits(
        retry_count_max=config.retry_count_max,
        retry_pause_seconds_max=config.retry_pause_seconds_max,
        retry_seconds_max=config.retry_seconds_max,
        parked_ratio_max=config.parked_ratio_max,
        parked_roots_max=config.parked_roots_max,
        parked_window=config.parked_window,
    )


def main() -> None:
    """Run until SIGTERM, or until going on would be wrong."""
    config = settings.load(BooksSettings)
    logs.configure(PROCESS)
    tracer = tracing.configure(PROCESS, config)
    # Faust makes loops of its own, so the policy it is, and before anything makes a loop.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(wait_for_broker(config.kafka_bootstrap_servers))
    progress = Progress()
    app = make_app(config, progress, end_process)
    books = Books(config, app, progress, tracer)
    app.agent(raw_topic(app, STRIPE_EVENTS.name), name=PROCESS, concurrency=1)(books.run_agent)
    worker = TimelyWorker(
        app,
        books,
        stop_seconds_max=STOP_SECONDS_MAX,
        end=end_process,
        loop=loop,
        loglevel=logging.INFO,
        override_logging=False,  # runtime.logs has configured it.
        quiet=True,
    )
    with tracing.closing(tracer):
        worker.execute_from_commandline()


if __name__ == "__main__":
    main()
