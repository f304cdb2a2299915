"""Says outbox rows on Kafka: in order within an account, and done only when the broker has all of them."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer

from runtime import tracing
from runtime.kafka import partition_of_event
from runtime.logs import get_logger
from runtime.tracing import Attributes, Span, SpanKind, Tracer
from store.outbox import OutboxRow

BATCH_BYTES_MAX: Final = 262_144

log = get_logger(__name__)


class Publisher:
    """An idempotent producer: within it, messages of one key keep their order, retries included."""

    def __init__(self, options: dict[str, Any], tracer: Tracer | None = None) -> None:
        self._options = options
        self._tracer = tracer
        self._producer: AIOKafkaProducer | None = None

    async def publish(self, rows: Sequence[OutboxRow], seconds_max: float) -> None:
        """Send rows in order; returns when the broker has all of them.

        Raises TimeoutError or KafkaError otherwise; some of them may be out then, and `settle` comes next.
        """
        async with asyncio.timeout(seconds_max):
            producer = await self._started()
            sent = (
                [await producer.send(row.topic, row.value, key=row.key.encode(), headers=row.headers) for row in rows]
                if self._tracer is None
                else [await _traced(self._tracer, producer, row) for row in rows]
            )
            await asyncio.gather(*sent)

    async def settle(self) -> None:
        """Wait until everything on its way has arrived or failed, however long; the next `publish` starts afresh.

        The producer never gives up a message, so what is on its way arrives in order, and arrives before what is sent
        anew: a reader that drops known ids sees each account's events in order.  No transaction is held meanwhile.
        """
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._options,
                acks="all",
                enable_idempotence=True,
                linger_ms=0,
                max_batch_size=BATCH_BYTES_MAX,
                partitioner=partition_of_event,
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.settle()


async def _traced(tracer: Tracer, producer: AIOKafkaProducer, row: OutboxRow) -> Any:
    """As without a trace, but that a row that has one goes on with it, until the broker has the row."""
    key, parent = row.key.encode(), tracing.context_of(row.traceparent)
    if parent is None:
        return await producer.send(row.topic, row.value, key=key, headers=row.headers)
    span = tracer.begin(f"send {row.topic}", SpanKind.PRODUCER, parent, attributes=_about(row))
    try:
        sent = await producer.send(row.topic, row.value, key=key, headers=[*row.headers, span.header])
    except BaseException as error:
        span.end(error)
        raise
    sent.add_done_callback(partial(_is_sent, span))
    return sent


def _is_sent(span: Span, sent: asyncio.Future[Any]) -> None:
    if sent.cancelled():
        span.end(asyncio.CancelledError())
    elif error := sent.exception():
        span.end(error)
    else:
        span.tell(tracing.place(sent.result()))
        span.end()


def _about(row: OutboxRow) -> Attributes:
    return tracing.sending(row.topic) | {"messaging.message.id": dict(row.headers)["ce_id"].decode()}
