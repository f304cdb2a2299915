"""Facts of Stripe's that no webhook brought, put where the door puts its own: read, sealed and partitioned alike."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Counter

from models import envelopes
from models.envelopes import Misfit, Sealed
from models.topics import STRIPE_EVENTS
from runtime.kafka import partition_of_fact
from runtime.keys import Keyring

BODY_BYTES_MAX: Final = 768 * 1024
"""Sealed and with its envelope it must stay below the topic's `max.message.bytes`."""

REQUEST_BYTES_MAX: Final = 1_000_000
SEND_SECONDS_MAX: Final = 10.0

TOLD: Final = Counter("facts_told", "Facts that the broker has")


class Untold(Exception):
    """The broker did not say that it has the facts.  It may have some of them all the same."""


class Facts:
    """The way into `stripe.events`.  It connects when there is something to tell, and anew after trouble."""

    def __init__(
        self, options: dict[str, Any], keyring: Keyring, *, livemode: bool, topic: str = STRIPE_EVENTS.name
    ) -> None:
        self._options = options
        self._topic = topic
        self._keyring = keyring
        self._livemode = livemode
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._let_go(self._producer)

    async def tell(self, bodies: Sequence[bytes], received_at: datetime) -> None:
        """Return when the broker has all of them.  Raises Untold; then tell them again: twice heard is once heard."""
        facts = [self._sealed(body, received_at) for body in bodies]
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                producer = await self._connected()
                sent = [
                    await producer.send(self._topic, fact.value, key=fact.key, headers=fact.headers) for fact in facts
                ]
                await asyncio.gather(*sent)
        except (KafkaError, TimeoutError) as error:
            await self._let_go(producer)
            raise Untold(type(error).__name__) from error
        TOLD.inc(len(facts))

    async def ready(self) -> None:
        """Return when Kafka answers and has our topic; raise when not."""
        cluster = await (await self._connected()).client.fetch_all_metadata()
        if not cluster.partitions_for_topic(self._topic):
            raise Untold(f"there is no topic {self._topic}")

    def _sealed(self, body: bytes, received_at: datetime) -> Sealed:
        envelope = envelopes.read(body, received_at, livemode=self._livemode)
        assert not isinstance(envelope, Misfit), f"we wrote it ourselves, and it is {envelope}"
        return envelope.sealed(body, self._keyring.encrypt)

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                self._producer = await self._connect()
            return self._producer

    async def _connect(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._options,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_request_size=REQUEST_BYTES_MAX,
            partitioner=partition_of_fact,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    async def _let_go(self, producer: AIOKafkaProducer | None) -> None:
        """Close a producer that is doubted, unless somebody did."""
        if producer is not None and producer is self._producer:
            self._producer = None
            await _close(producer)


async def _close(producer: AIOKafkaProducer) -> None:
    """Let it send its last words, for a while."""
    with suppress(KafkaError, TimeoutError):
        async with asyncio.timeout(SEND_SECONDS_MAX):
            await producer.stop()
