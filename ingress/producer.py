"""Into Kafka, and not a word before Kafka has it.

The door opens whether or not a broker is there, and says "not now" until it is.  A producer that gives up (the client
has errors after which it never sends again) or that is not answered for long is replaced by a fresh one.  What was
refused with 503 may still be delivered late: Stripe sends it again anyway, and hearing a fact twice is hearing it once.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata
from prometheus_client import Counter

from ingress.deadlines import Deadlines
from models.topics import STRIPE_EVENTS
from runtime.kafka import partition_of_fact
from runtime.logs import get_logger
from runtime.metrics import LATENCY_SECONDS_BUCKETS, LoopHistogram

BATCH_BYTES_MAX: Final = 262_144
REQUEST_BYTES_MAX: Final = 1_000_000
"""Above the largest body with its seal and envelope, below the topic's `max.message.bytes`."""

REQUEST_SECONDS_MAX: Final = 5.0
CONNECT_SECONDS_MAX: Final = 10.0
RECONNECT_PAUSE_SECONDS: Final = 0.5
SILENCE_SECONDS_MAX: Final = 10.0
"""Unanswered for so long, the producer is replaced: a fresh one looks up the brokers' addresses anew."""

PRODUCED = LoopHistogram(
    "ingress_produce_seconds", "From handing over to acknowledged", buckets=LATENCY_SECONDS_BUCKETS
)
UNACKNOWLEDGED = Counter("ingress_unacknowledged_total", "Facts that the broker did not acknowledge in time", ["error"])
REPLACED = Counter("ingress_producer_replaced_total", "Producers that were given up for a fresh one")

log = get_logger(__name__)


class Unacknowledged(Exception):
    """The broker did not say that it has the fact.  It may have it all the same."""


class Producer:
    """The way to the topic, kept open for as long as the process lives."""

    def __init__(self, options: dict[str, Any], seconds_max: float, monotonic: Callable[[], float]) -> None:
        self._options = options
        self._seconds_max = seconds_max
        self._deadlines = Deadlines(seconds_max)
        self._monotonic = monotonic
        self._client: AIOKafkaProducer | None = None
        self._tried = asyncio.Event()
        self._given_up = asyncio.Event()
        self._silent_since: float | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect, and keep connected; returns after the first try, or when it takes longer than an answer may.

        So a door that opens beside others, in a rolling restart, does not begin by sending callers away.
        """
        self._keeper = asyncio.create_task(self._keep_connected())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._tried.wait(), self._seconds_max)

    async def stop(self, seconds_max: float) -> None:
        """Send what is still to be sent, within *seconds_max*."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        self._let_go()
        if self._closing:
            await asyncio.wait(self._closing, timeout=seconds_max)

    async def publish(self, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]) -> RecordMetadata:
        """Return where the record is when all replicas in sync have it.

        Raises Unacknowledged when they do not say so in time.
        """
        began = self._monotonic()
        try:
            with self._deadlines.within():
                delivery = await self._connected().send(STRIPE_EVENTS.name, value, key=key, headers=headers)
                landed = await delivery
        except (KafkaError, TimeoutError) as error:
            self._doubt(error)
            raise Unacknowledged from None
        finally:
            PRODUCED.observe(self._monotonic() - began)
        self._silent_since = None
        return landed

    async def ready(self) -> None:
        """Return when Kafka answers and has our topic; raises when not."""
        cluster = await self._connected().client.fetch_all_metadata()
        if not cluster.partitions_for_topic(STRIPE_EVENTS.name):
            raise Unacknowledged(f"there is no topic {STRIPE_EVENTS.name}")

    def _connected(self) -> AIOKafkaProducer:
        if self._client is None:
            raise KafkaError("not connected")
        return self._client

    def _doubt(self, error: Exception) -> None:
        """Count the failure, and give the producer up when it looks beyond recovery."""
        UNACKNOWLEDGED.labels(type(error).__name__).inc()
        now = self._monotonic()
        self._silent_since = self._silent_since or now
        if isinstance(error, KafkaError) or now - self._silent_since > SILENCE_SECONDS_MAX:
            self._given_up.set()

    async def _keep_connected(self) -> None:
        while True:
            self._client = await self._connect()
            self._tried.set()
            if self._client is not None:
                log.info("connected to kafka")
                await self._until_given_up()
                REPLACED.inc()
                self._let_go()
            await asyncio.sleep(RECONNECT_PAUSE_SECONDS)

    async def _until_given_up(self) -> None:
        self._given_up.clear()  # Doubts about the one before do not count against this one.
        self._silent_since = None
        await self._given_up.wait()

    async def _connect(self) -> AIOKafkaProducer | None:
        """A producer that has spoken with a broker, if one is there."""
        client, started = self._new(), False
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                await client.start()
            started = True
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("kafka is away", error=type(error).__name__)
        finally:
            if not started:  # Cancelled included.
                await client.stop()
        return client if started else None

    def _new(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._options,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=REQUEST_BYTES_MAX,
            request_timeout_ms=int(REQUEST_SECONDS_MAX * 1000),
            partitioner=partition_of_fact,
        )

    def _let_go(self) -> None:
        """Close the producer behind our back: its last batches go out when the broker is there, however late."""
        if self._client is None:
            return
        closing = asyncio.create_task(self._client.stop())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._client = None
