"""Workers that die at any time, begin again anywhere, and go on reading what is not theirs any more; and the relay."""

import random
from collections.abc import Iterable

from models.books import Said
from tests.simulation.support_broker import Broker
from tests.simulation.support_database import ConnectionLost, Database, GapFound, Taken
from tests.simulation.support_ranges import Ranges
from tests.simulation.support_stripe import Letter


class Worker:
    """One process that takes facts into the books.  All it knows is where it reads on; dying, it forgets that."""

    def __init__(self, chance: random.Random, ranges: Ranges, broker: Broker[Letter], database: Database) -> None:
        self._chance = chance
        self._ranges = ranges
        self._broker = broker
        self._database = database
        self.fair = False
        self._next: dict[int, int] = {}  # By partition.
        self.crash_count = 0

    def assign(self, partitions: Iterable[int]) -> None:
        """Read these partitions now.  A fenced process would stop with the others; a zombie goes on for a while."""
        kept = {} if not self._goes_wrong(self._ranges.zombie_rate) else self._next
        self._next = kept | {partition: self._beginning(partition) for partition in partitions}

    def step(self) -> None:
        """Take one batch, unless something kills the process on the way."""
        if self._dies():
            return
        batch = self._fetch()
        if not batch or self._dies():
            return
        try:
            self._database.apply(batch)
        except ConnectionLost:  # The batch comes again: the inbox knows whether it was in.
            return
        except GapFound:  # The process ends and starts at the positions.
            self._restart()
            return
        if self._dies():
            return
        for taken in batch:
            self._next[taken.partition] = taken.offset + 1
            self._broker.acknowledge(taken.partition, taken.offset + 1)

    def _fetch(self) -> list[Taken]:
        """Some records of each partition, mixed as they come, each partition's in order."""
        lanes = [self._lane(partition, offset) for partition, offset in self._next.items()]
        mixed: list[Taken] = []
        while lanes := [lane for lane in lanes if lane]:
            mixed.append(self._chance.choice(lanes).pop(0))
        return mixed

    def _lane(self, partition: int, offset: int) -> list[Taken]:
        count_max = self._chance.randint(1, self._ranges.batch_facts_max)
        letters = self._broker.fetch(partition, offset, count_max)
        return [Taken(partition, offset + number, letter) for number, letter in enumerate(letters)]

    def _beginning(self, partition: int) -> int:
        """The position, or some earlier offset, or what Kafka remembers: all of them must do."""
        position = self._database.tables.positions.get(partition, 0)
        if self._goes_wrong(self._ranges.replay_rate):
            return self._chance.choice((self._broker.offsets[partition], self._chance.randint(0, position)))
        return position

    def _dies(self) -> bool:
        if not self._goes_wrong(self._ranges.crash_rate):
            return False
        self.crash_count += 1
        self._restart()
        return True

    def _restart(self) -> None:
        self._next = {partition: self._beginning(partition) for partition in self._next}

    def _goes_wrong(self, rate: float) -> bool:
        return not self.fair and self._chance.random() < rate


class Relay:
    """Publishes the outbox in order; dying between sending and marking, it sends again."""

    def __init__(self, chance: random.Random, ranges: Ranges, database: Database) -> None:
        self._chance = chance
        self._ranges = ranges
        self._database = database
        self.fair = False
        self.published: list[Said] = []

    def step(self) -> None:
        """Send what is unsent, and mark it."""
        tables = self._database.tables
        unsent = tables.outbox[tables.sent_count :][:10]
        for said in unsent:
            self.published.append(said)
            if not self.fair and self._chance.random() < self._ranges.relay_crash_rate:
                return
        tables.sent_count += len(unsent)
