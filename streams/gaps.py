"""What lies between a position and the first offset that came: asked of Kafka itself, by a consumer without a group.

Transaction markers and compaction leave holes in offsets, which are nothing.  A record in between means that our own
consumer skipped it; a log that starts beyond the position means that retention took facts before we had them.
"""

import asyncio
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from store.intake import Gap
from streams.onlooker import onlooker

LOOK_SECONDS_MAX: Final = 10.0
NOTHING_COMES_SECONDS: Final = 2.0


class KafkaGapJudge:
    """The `store.intake.GapJudge` that asks the log itself."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options

    async def judge(self, topic: str, partition: int, expected: int, first: int) -> Gap:
        """Tell what lies in [expected, first), where *first* is a record; raises what asking raises."""
        where = TopicPartition(topic, partition)
        async with asyncio.timeout(LOOK_SECONDS_MAX), onlooker(self._options) as consumer:
            if (await consumer.beginning_offsets([where]))[where] > expected:
                return Gap.LOST
            found = await _first_from(consumer, where, expected)
            return Gap.SKIPPED if found < first else Gap.HOLE

    async def holds_record(self, topic: str, partition: int, start: int, end: int) -> bool:
        """Whether the log has a record in [start, end): its end may be a hole, and offsets alone do not tell."""
        where = TopicPartition(topic, partition)
        async with onlooker(self._options) as consumer:
            beginning = (await consumer.beginning_offsets([where]))[where]
            try:
                async with asyncio.timeout(NOTHING_COMES_SECONDS):
                    return await _first_from(consumer, where, max(start, beginning)) < end
            except TimeoutError:
                return False


async def _first_from(consumer: AIOKafkaConsumer, where: TopicPartition, start: int) -> int:
    """The first record's offset from *start* on.  Aborted records count: Faust reads uncommitted, as this does."""
    consumer.assign([where])
    consumer.seek(where, start)
    return int((await consumer.getone(where)).offset)
