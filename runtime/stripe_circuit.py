"""When to leave Stripe alone: a policy that is told the time.

While Stripe does not answer, each request would wait for its whole time before its caller hears so.  After some
failures in a row nobody is sent any more; then one goes ahead, and the others follow when it comes back.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

FAILURES_MAX: Final = 5
WITHIN_SECONDS: Final = 10.0
OPEN_SECONDS: Final = 5.0
PROBE_SECONDS_MAX: Final = 60.0
"""A probe that was not heard of for so long is given up: nobody may be kept out for ever by one that got lost."""


class State(Enum):
    """Whether requests pass.  The values are what the metric shows."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(slots=True)
class Circuit:
    """Open after *failures_max* failures without a success between them, all within *within_seconds*.

    A failure is that Stripe did not answer, or answered that it is broken.  Being refused, and being told to slow down,
    are answers.
    """

    failures_max: int = FAILURES_MAX
    within_seconds: float = WITHIN_SECONDS
    open_seconds: float = OPEN_SECONDS
    _failures: deque[float] = field(default_factory=deque)
    _opens_again_at: float | None = None
    _probing_since: float | None = None

    def state(self, now: float) -> State:
        """How it stands."""
        if self._opens_again_at is None:
            return State.CLOSED
        return State.OPEN if now < self._opens_again_at else State.HALF_OPEN

    def closed_for(self, now: float) -> float:
        """For how many seconds a request has no chance; 0.0 when it may be sent, or be the one that goes ahead."""
        return max(0.0, (self._opens_again_at or now) - now)

    def admits(self, now: float) -> bool:
        """Whether a request may be sent now.  While half open, the one that asks first goes ahead alone."""
        state = self.state(now)
        if state is State.HALF_OPEN and not self._is_probed(now):
            self._probing_since = now
            return True
        return state is State.CLOSED

    def succeeded(self) -> None:
        """Stripe answered."""
        self._failures.clear()
        self._opens_again_at = self._probing_since = None

    def failed(self, now: float) -> None:
        """Stripe did not answer, or is broken."""
        self._probing_since = None
        self._failures.append(now)
        while now - self._failures[0] > self.within_seconds:
            self._failures.popleft()
        if self._opens_again_at is not None or len(self._failures) >= self.failures_max:
            self._opens_again_at = now + self.open_seconds

    def gave_up(self) -> None:
        """Whoever went ahead left before Stripe answered; another one may."""
        self._probing_since = None

    def _is_probed(self, now: float) -> bool:
        return self._probing_since is not None and now - self._probing_since < PROBE_SECONDS_MAX
