"""How often Stripe is asked again, and after how long: a policy that is told everything and looks at nothing."""

from dataclasses import dataclass
from typing import Final

RETRIES_MAX: Final = 8
PAUSE_SECONDS_FIRST: Final = 0.25
PAUSE_SECONDS_MAX: Final = 8.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Pauses that may double each time, drawn evenly from nothing up to that (full jitter), and are bounded.

    So many who failed at one moment do not come back at one moment.
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/)
    """

    retries_max: int = RETRIES_MAX
    pause_seconds_first: float = PAUSE_SECONDS_FIRST
    pause_seconds_max: float = PAUSE_SECONDS_MAX

    def pause(self, tries: int, left_seconds: float, die: float, after_seconds: float | None = None) -> float | None:
        """How long to wait after the *tries*-th try failed; None when it was the last one.

        *left_seconds* is what the caller still has, *die* is drawn from [0, 1), and *after_seconds* is what Stripe
        asked for: it is never earlier than that, and each a little later in its own way.
        """
        if tries > self.retries_max:
            return None
        if after_seconds is None:
            pause = die * min(self.pause_seconds_max, self.pause_seconds_first * 2 ** (tries - 1))
        else:
            pause = after_seconds + die * self.pause_seconds_first
        return pause if pause < left_seconds else None
