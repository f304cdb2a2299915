"""How long topics are: what went in is counted by Kafka itself, not by who says that it sent."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

Ends = dict[TopicPartition, int]


class Offsets:
    """Asks for the ends of topics.  It reads nothing and belongs to no group."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._consumer = AIOKafkaConsumer(**options)
        self._partitions: dict[str, list[TopicPartition]] = {}

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._consumer.stop()

    async def ends(self, topics: Sequence[str]) -> Ends:
        """The offset after the last message of each partition."""
        if any(topic not in self._partitions for topic in topics):
            await self._learn(topics)
        found: Ends = await self._consumer.end_offsets([one for topic in topics for one in self._partitions[topic]])
        return found

    async def _learn(self, topics: Sequence[str]) -> None:
        """Which partitions there are; none is added while we look."""
        cluster = await self._consumer._client.fetch_all_metadata()  # noqa: SLF001  # No public way without a group.
        for topic in topics:
            self._partitions[topic] = [TopicPartition(topic, one) for one in cluster.partitions_for_topic(topic)]


def grown(before: Ends, after: Ends) -> int:
    """How many messages came in between."""
    return sum(after.values()) - sum(before.values())
