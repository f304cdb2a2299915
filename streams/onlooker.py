"""Looking at the log without taking part: a consumer of no group commits nothing and moves nobody."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer


@asynccontextmanager
async def onlooker(options: Mapping[str, Any]) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of no group, stopped at the end even if it never came to start.

    A new one for each question: one that is kept may be stuck in the same way as the one it is to judge.
    """
    consumer = AIOKafkaConsumer(**options, group_id=None, enable_auto_commit=False, auto_offset_reset="none")
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()
