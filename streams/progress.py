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
        self._parcels: dict[TopicPartition, tuple[int, int]] = {}  # Handed last: what comes after it; its number.
        self._handed = 0
        self._done = 0
        self.committed_records = 0

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
        self._parcels = {}
        PARTITIONS.set(len(positions))

    def handed(self, where: TopicPartition, next_offset: int) -> None:
        """Records of this partition, up to this offset, wait for the books, behind all that was handed before."""
        self._handed += 1
        self._parcels[where] = (next_offset, self._handed)

    def waits_its_turn(self, where: TopicPartition) -> bool:
        """Whether the books hold something of this partition, and have taken nothing that was handed later."""
        return where in self._parcels and self._parcels[where][1] > self._done

    def committed(self, records: Iterable[Record]) -> None:
        """These records are in the books; those of partitions no longer held move nothing."""
        for record in records:
            self.committed_records += 1
            where = (record.topic, record.partition)
            if self._next and where in self._next:
                self._next[where] = max(self._next[where], record.offset + 1)
                self._done_with(where)

    def _done_with(self, where: TopicPartition) -> None:
        if where in self._parcels:
            next_offset, number = self._parcels[where]
            if self._next and self._next[where] >= next_offset:
                self._done = max(self._done, number)
