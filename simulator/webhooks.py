"""Webhooks as Stripe sends them: what is sent when, and how often it is tried.  No input or output here.

Stripe tries for three days, with pauses that grow (https://docs.stripe.com/webhooks#automatic-retries).  It does not
say which, so these are ours.  What else goes wrong on the way is a matter of chance, and all chance is the world's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from simulator.clock import DAY_SECONDS, HOUR_SECONDS
from simulator.dice import Dice

TRIED_SECONDS: Final = 3 * DAY_SECONDS
RETRY_PAUSES_SECONDS: Final = (
    5 * 60,
    30 * 60,
    2 * HOUR_SECONDS,
    5 * HOUR_SECONDS,
    10 * HOUR_SECONDS,
    12 * HOUR_SECONDS,
    12 * HOUR_SECONDS,
    12 * HOUR_SECONDS,
    18 * HOUR_SECONDS,
)
"""Between the tries, in the world's seconds."""
assert sum(RETRY_PAUSES_SECONDS) <= TRIED_SECONDS


@dataclass(frozen=True, slots=True)
class Disorder:
    """What goes wrong on the way, beside failures.  Shares are of the deliveries, from 0 to 1."""

    drop_share: float = 0.0  # Never sent, and Stripe does not know.
    duplicate_share: float = 0.0  # Sent once more, at another moment.
    shuffle_seconds: int = 0  # Each is late by chance, up to so much of the world's time, and so overtaken.

    def __post_init__(self) -> None:
        """Raise ValueError for what is no share, or no time."""
        for name, share in (("drop_share", self.drop_share), ("duplicate_share", self.duplicate_share)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} is a share, from 0 to 1.")
        if not 0 <= self.shuffle_seconds <= TRIED_SECONDS:
            raise ValueError(f"shuffle_seconds is from 0 to {TRIED_SECONDS}.")

    def delays(self, dice: Dice) -> Iterator[int]:
        """How late each copy of a delivery is sent, in the world's seconds; nothing, when it is dropped."""
        if dice.happens(self.drop_share):
            return
        yield self._late(dice)
        if dice.happens(self.duplicate_share):
            yield self._late(dice)

    def _late(self, dice: Dice) -> int:
        return dice.randint(0, self.shuffle_seconds) if self.shuffle_seconds else 0


def pause_after(attempt: int) -> int | None:
    """How long to wait when the *attempt*-th try, counted from 1, has failed; None when it was the last."""
    return RETRY_PAUSES_SECONDS[attempt - 1] if attempt <= len(RETRY_PAUSES_SECONDS) else None
