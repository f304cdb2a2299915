"""A broker in memory: logs that keep what was written, acknowledgements that get lost, offsets that are only hints."""

import random
import zlib
from typing import Generic, TypeVar

from tests.simulation.support_ranges import Ranges

Message = TypeVar("Message")


class Broker(Generic[Message]):
    """One topic.  What was written stays, in order, per partition; faults end when `weather` is fair."""

    def __init__(self, chance: random.Random, ranges: Ranges) -> None:
        self._chance = chance
        self._ranges = ranges
        self.fair = False
        self.logs: list[list[Message]] = [[] for _ in range(ranges.partition_count)]
        self.offsets = [0] * ranges.partition_count  # What the group acknowledged.

    def produce(self, key: str, message: Message) -> bool:
        """Write a message, or not, and acknowledge it, or not."""
        if self._goes_wrong(self._ranges.send_failed_rate):
            return False
        self.logs[zlib.crc32(key.encode()) % len(self.logs)].append(message)
        return not self._goes_wrong(self._ranges.produce_ack_lost_rate)

    def fetch(self, partition: int, offset: int, count_max: int) -> list[Message]:
        """What stands there, from *offset* on."""
        return self.logs[partition][offset : offset + count_max]

    def acknowledge(self, partition: int, offset: int) -> None:
        """Remember how far the group is, or forget that it said so."""
        if not self._goes_wrong(self._ranges.offset_ack_lost_rate):
            self.offsets[partition] = offset

    @property
    def messages(self) -> list[Message]:
        """Everything that was ever written."""
        return [message for log in self.logs for message in log]

    def _goes_wrong(self, rate: float) -> bool:
        return not self.fair and self._chance.random() < rate
