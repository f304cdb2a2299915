"""`python -m streams.relay`: publishes what the outbox holds, at least once, in order per account.

It polls for unsent rows, never by a cursor (an id may commit after a larger one) and never by NOTIFY (which would
serialise commits).  Rows are taken out in the transaction that claimed them, after the broker has them: a crash in
between sends them again, under the same ids.  Any number of relays may run: one has the turn, the others stand by.
"""

import asyncio
import signal
import threading
from collections import Counter as Counted
from collections.abc import Iterator
from typing import Final

import uvloop
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge, Histogram

from runtime import garbage, health, kafka, logs, settings, tracing
from runtime.failpoints import Failpoints
from runtime.metrics import LATENCY_SECONDS_BUCKETS
from runtime.settings import RelaySettings
from runtime.tracing import Tracer
from store.outbox import Outbox, OutboxRow
from store.postgres import Database, is_transient
from streams.ending import end_process
from streams.publisher import Publisher

PROCESS: Final = "relay"
EVENT_ID_HEADER: Final = "ce_id"

SEND_SECONDS_MAX: Final = 5.0
"""Bounds the claiming transaction while the broker is away: an open one holds back vacuum for everybody."""

PAUSE_SECONDS_MIN: Final = 0.1
PAUSE_SECONDS_MAX: Final = 2.0
AGE_SECONDS: Final = 1.0
STOP_SECONDS_MAX: Final = 8.0

SENT: Final = Counter("outbox_sent", "Rows that the broker has, those sent again included", ["topic"])
FAILED: Final = Counter("outbox_failed_batches", "Batches that were not taken out, by why", ["error"])
BATCH_ROWS: Final = Histogram("outbox_batch_rows", "Rows in one batch", buckets=(1, 2, 5, 10, 50, 100, 200, 500))
SEND_SECONDS: Final = Histogram(
    "outbox_send_seconds", "One batch, from its claim to the broker's last answer", buckets=LATENCY_SECONDS_BUCKETS
)
OLDEST_AGE: Final = Gauge("outbox_oldest_unsent_age_seconds", "How long the oldest unsent row has waited")

log = logs.get_logger(__name__)


class Relay:
    """One relay: claims, publishes, takes out."""

    def __init__(self, outbox: Outbox, publisher: Publisher, failpoints: Failpoints, batch_max: int) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._failpoints = failpoints
        self._batch_max = batch_max

    async def run(self, stopping: asyncio.Event, poll_seconds: float) -> None:
        """Relay until *stopping* is set, the batch in hand to its end; outages are waited out."""
        pause = PAUSE_SECONDS_MIN
        while not stopping.is_set():
            try:
                sent = await self.relay_batch()
            except Exception as failure:  # noqa: BLE001  # All are still unsent: whatever it was, trying again is right.
                await self._recover(failure)
                await _pause(stopping, pause)
                pause = min(pause * 2, PAUSE_SECONDS_MAX)
            else:
                pause = PAUSE_SECONDS_MIN
                if sent < self._batch_max:  # What comes meanwhile goes together, for the price of one.
                    await _pause(stopping, poll_seconds)

    async def relay_batch(self) -> int:
        """Publish the oldest unsent rows and take them out; how many.  By an exception all stay."""
        async with self._outbox.claim(self._batch_max) as claim:
            if not claim.rows:
                return 0
            self._failpoints.reach("outbox_claimed", _event_ids(claim.rows))
            with SEND_SECONDS.time():
                await self._publisher.publish(claim.rows, SEND_SECONDS_MAX)
            self._failpoints.reach("outbox_sent", _event_ids(claim.rows))
        self._failpoints.rest()
        BATCH_ROWS.observe(len(claim.rows))
        for topic, rows in Counted(row.topic for row in claim.rows).items():
            SENT.labels(topic).inc(rows)
        return len(claim.rows)

    async def watch_age(self, stopping: asyncio.Event) -> None:
        """Keep the gauge of the oldest unsent row, whoever has the turn."""
        while not stopping.is_set():
            try:
                OLDEST_AGE.set(await self._outbox.oldest_unsent_age_seconds())
            except Exception as failure:
                if not is_transient(failure):
                    raise
            await _pause(stopping, AGE_SECONDS)

    async def _recover(self, failure: Exception) -> None:
        self._failpoints.rest()
        FAILED.labels(type(failure).__name__).inc()
        log.warning("batch not relayed", error=type(failure).__name__, reason=str(failure))
        if isinstance(failure, (KafkaError, TimeoutError)):
            await self._publisher.settle()


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    """Wait, but not beyond the wish to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return


def _event_ids(rows: tuple[OutboxRow, ...]) -> Iterator[str]:
    return (value.decode() for row in rows for name, value in row.headers if name == EVENT_ID_HEADER)


def _stop_in_time(stopping: asyncio.Event) -> None:
    """Ask for an orderly stop, and let a thread see to it that it comes: the broker may be away."""
    stopping.set()
    timer = threading.Timer(STOP_SECONDS_MAX, end_process, [f"no stop within {STOP_SECONDS_MAX} s"])
    timer.daemon = True
    timer.start()


async def relay(config: RelaySettings, tracer: Tracer | None) -> None:
    """Run one relay until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for signalled in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signalled, _stop_in_time, stopping)
    database = Database(config.database_url.get_secret_value(), application_name=PROCESS)
    async with database, Publisher(kafka.client_options(config), tracer) as publisher:
        one = Relay(Outbox(database), publisher, Failpoints(config.failpoints_dir), config.batch_max)
        answers = await health.serve(config.metrics_host, config.metrics_port, database.ping)
        garbage.settle()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(one.run(stopping, config.poll_seconds))
                tasks.create_task(one.watch_age(stopping))
        finally:
            await answers.cleanup()


def main() -> None:
    """Run until SIGTERM."""
    config = settings.load(RelaySettings)
    logs.configure(PROCESS)
    tracer = tracing.configure(PROCESS, config)
    with tracing.closing(tracer), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(relay(config, tracer))


if __name__ == "__main__":
    main()
