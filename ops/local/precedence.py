"""Who goes first when a machine has more to do than processors: what commits (docs/decisions/0025).

How far each steps back, as `nice` counts it.  The books and PostgreSQL do not: whatever waits for them waits to be
committed, and what waits for the others waits in a socket or a topic.
"""

from typing import Final

CARRIES: Final = 5
"""Kafka."""

BRINGS: Final = 10
"""Who brings facts, or tells of what is committed: Stripe's door, the relay, and what goes by its own clock."""
