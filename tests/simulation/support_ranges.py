"""What one seed makes of the world: its size, and how often each thing goes wrong in it.

In the manner of TigerBeetle's VOPR every rate is drawn anew for each seed, and is often nought: a fault that always
happens hides what happens without it.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ranges:
    """The size and the weather of one simulated world.  Rates are per occasion."""

    customer_count: int
    steps_max: int  # Of a lifecycle; below what a chain is looked for in, so that the oracle can be asked.
    partition_count: int
    worker_count: int
    batch_facts_max: int
    unreadable_rate: float
    second_copy_rate: float
    send_failed_rate: float  # The broker never wrote it.
    produce_ack_lost_rate: float  # It did, and nobody knows.
    given_up_rate: float  # Stripe stops trying.
    commit_lost_rate: float
    commit_unknown_rate: float
    offset_ack_lost_rate: float
    crash_rate: float
    replay_rate: float  # A worker begins at an earlier offset than it must.
    rebalance_rate: float
    zombie_rate: float  # A partition that moved is still read by its former worker.
    relay_crash_rate: float


def drawn(chance: random.Random, facts_scale: int = 1) -> Ranges:
    """The ranges of one seed; *facts_scale* makes the world larger and its faults no rarer."""

    def rate(highest: float) -> float:
        return chance.choice((0.0, chance.uniform(0, highest), highest))

    return Ranges(
        customer_count=chance.randint(1, 3) * facts_scale,
        steps_max=chance.choice((2, 5, 8)),
        partition_count=chance.randint(1, 4),
        worker_count=chance.randint(1, 3),
        batch_facts_max=chance.choice((1, 3, 20)),
        unreadable_rate=rate(0.1),
        second_copy_rate=rate(0.4),
        send_failed_rate=rate(0.3),
        produce_ack_lost_rate=rate(0.3),
        given_up_rate=rate(0.1),
        commit_lost_rate=rate(0.3),
        commit_unknown_rate=rate(0.3),
        offset_ack_lost_rate=rate(0.5),
        crash_rate=rate(0.2),
        replay_rate=rate(0.5),
        rebalance_rate=rate(0.1),
        zombie_rate=rate(0.5),
        relay_crash_rate=rate(0.3),
    )
