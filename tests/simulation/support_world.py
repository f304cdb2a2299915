"""One world from one seed: it is lived in until all is told, then heals, and must come to rest."""

import random
from collections.abc import Callable
from typing import Final, Protocol

from tests.simulation.support_broker import Broker
from tests.simulation.support_database import Database
from tests.simulation.support_ranges import Ranges, drawn
from tests.simulation.support_stripe import Letter, Sender
from tests.simulation.support_worker import Relay, Worker

ROUNDS_MAX: Final = 20_000
"""Of bad weather.  Stripe gives up before that, as do we: what was not sent by then is sent in fair weather."""

HEALING_ROUNDS_PER_FACT_MAX: Final = 8

MakeDatabase = Callable[[random.Random, Ranges], Database]
MakeWorker = Callable[[random.Random, Ranges, Broker[Letter], Database], Worker]


class Actor(Protocol):
    """Whoever does something when it is its turn."""

    def step(self) -> None:
        """Do one thing."""


class Weathered(Protocol):
    """What goes wrong until the weather is fair."""

    fair: bool


class World:
    """Everything in one seed's world."""

    def __init__(
        self,
        seed: int,
        facts_scale: int = 1,
        make_database: MakeDatabase = Database,
        make_worker: MakeWorker = Worker,
    ) -> None:
        self.seed = seed
        self._chance = chance = random.Random(seed)
        self.ranges = ranges = drawn(chance, facts_scale)
        self.broker: Broker[Letter] = Broker(chance, ranges)
        self.database = make_database(chance, ranges)
        self.sender = Sender(chance, ranges, self.broker)
        self.workers = [make_worker(chance, ranges, self.broker, self.database) for _ in range(ranges.worker_count)]
        self.relay = Relay(chance, ranges, self.database)
        self._rebalance()

    def live(self) -> None:
        """Let everybody act in any order, with everything going wrong that this seed has in store."""
        actors: list[Actor] = [self.sender, self.sender, self.relay, *self.workers]
        for _ in range(ROUNDS_MAX):
            if self.sender.is_done:
                return
            if self._chance.random() < self.ranges.rebalance_rate:
                self._rebalance()
            self._chance.choice(actors).step()

    def heal(self) -> None:
        """Let nothing go wrong any more; all must be told, taken, and published soon."""
        parts: list[Weathered] = [self.broker, self.database, self.relay, *self.workers]
        for part in parts:
            part.fair = True
        while not self.sender.is_done:
            self.sender.step()
        self._rebalance()
        for _ in range(HEALING_ROUNDS_PER_FACT_MAX * (len(self.broker.messages) + len(self.workers) + 1)):
            if self._is_at_rest():
                return
            for worker in self.workers:
                worker.step()
            self.relay.step()
        raise AssertionError("the world does not come to rest")

    def _is_at_rest(self) -> bool:
        tables = self.database.tables
        ends = {partition: len(log) for partition, log in enumerate(self.broker.logs) if log}
        return ends == tables.positions and tables.sent_count == len(tables.outbox)

    def _rebalance(self) -> None:
        partitions = list(range(self.ranges.partition_count))
        self._chance.shuffle(partitions)
        for number, worker in enumerate(self.workers):
            worker.assign(partitions[number :: len(self.workers)])
