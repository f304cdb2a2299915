"""How far this worker has come in each partition it holds: what the watchdog and readiness look at."""

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import Gauge

from store.positions import TopicPartition
from store.records import Record

PARTITIONS: Final = Gauge("books_assigned_partitions", "Partitions that this worker holds")


class Progress:
    """The next offset of every partition held; nothing at all while a rebalance is under way."""

    def __init__(self) -> None:
        self._next: dict[TopicPartition, int] | None = None

    @property
    def positions(self) -> Mapping[TopicPartition, int]:
        """The partitions held, and the offset that comes next in each."""
        return dict(self._next or {})

    @property
    def settled(self) -> bool:
        """Whether the group has told this worker its share, even if that is nothing."""
        return self._next is not None

    def revoked(self) -> None:
        """A rebalance began: what we held may be another's."""
        self._next = None
        PARTITIONS.set(0)

    def assigned(self, positions: Mapping[TopicPartition, int]) -> None:
        """The rebalance is over, and these are ours from these offsets on."""
        self._next = dict(positions)
        PARTITIONS.set(len(positions))

    def committed(self, records: Iterable[Record]) -> None:
        """These records are in the books; those of partitions no longer held move nothing."""
        for record in records:
            where = (record.topic, record.partition)
            if self._next and where in self._next:
                self._next[where] = max(self._next[where], record.offset + 1)
