"""The world: a virtual clock, one seed, Stripe's objects on a shelf, and an agenda of what falls due.

`advance` moves the clock from one due thing to the next and lets each happen in its second.  Whatever changes an object
calls `record`; the happenings, in the order in which they happened, are all that leaves the world.
"""

import heapq
import itertools
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final, Protocol

from simulator.clock import VirtualClock
from simulator.dice import Dice
from simulator.happenings import Happening, Json
from simulator.shelf import Shelf

if TYPE_CHECKING:
    from simulator.customers import Customer
    from simulator.invoice_items import InvoiceItem
    from simulator.subscriptions import Subscription

STORY_START_SECONDS: Final = 1_769_846_400  # 2026-01-31 08:00 UTC: month ends are part of every story.
ADDRESS: Final = "https://pretend.example"

Script = Generator[float, None, None]
"""What somebody does: act, yield the seconds until the next act, and so on."""


class Request(Protocol):
    """Somebody's request, in whose course things change."""

    @property
    def id(self) -> str:
        """The request's id."""

    @property
    def idempotency_key(self) -> str | None:
        """The key under which its answer is kept."""


class World:
    """Everything that exists in one pretend Stripe.  Two worlds of one seed are the same world."""

    def __init__(self, seed: int, start_seconds: int = STORY_START_SECONDS) -> None:
        self.seed = seed
        self.clock = VirtualClock(start_seconds)
        self.dice = Dice(seed)
        self.shelf = Shelf()
        self.address = ADDRESS  # Where its hosted pages are.
        self.is_stocked = False  # Whether the catalog is on the shelf: it is put there when somebody buys.
        self.request: Request | None = None  # Whose request changes things now, if anybody's.
        self.customers: dict[str, Customer] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.pending_items: dict[str, list[InvoiceItem]] = {}  # By customer: what waits for the next invoice.
        self.happenings: list[Happening] = []
        self.on_event: list[Callable[[Happening], None]] = []
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._turns = itertools.count()

    @property
    def next_due(self) -> int | None:
        """The second of what is next on the agenda."""
        return self._agenda[0][0] if self._agenda else None

    @property
    def now(self) -> int:
        """The world's second."""
        return self.clock.now

    def record(self, event_type: str, after: Json, before: Json | None = None, *, by_request: bool = False) -> None:
        """Remember that an object changed, in this second, after everything that was recorded before.

        It was by the request in hand, or, *by_request*, by one of the story's.
        """
        happening = Happening(
            event_id=self.dice.identifier("evt"),
            type=event_type,
            created=self.now,
            after=after,
            before=before,
            request_id=self._request_id(by_request=by_request),
            idempotency_key=self.request.idempotency_key if self.request else None,
        )
        self.happenings.append(happening)
        for hear in self.on_event:
            hear(happening)

    def _request_id(self, *, by_request: bool) -> str | None:
        if self.request:
            return self.request.id
        return self.dice.identifier("req", 14) if by_request else None

    def at(self, moment_seconds: int, action: Callable[[], None]) -> None:
        """Let *action* happen when the clock comes to *moment_seconds*; what was asked for first happens first."""
        heapq.heappush(self._agenda, (max(moment_seconds, self.now), next(self._turns), action))

    def later(self, pause_seconds: int, action: Callable[[], None]) -> None:
        """Let *action* happen when so many seconds have passed."""
        self.at(self.now + pause_seconds, action)

    def advance(self, until_seconds: int) -> None:
        """Play all that falls due until then, in order."""
        while self._agenda and self._agenda[0][0] <= until_seconds:
            moment, _, action = heapq.heappop(self._agenda)
            self.clock.move_to(moment)
            action()
        self.clock.move_to(until_seconds)

    def play(self, script: Script) -> None:
        """Let *script* act now and whenever the pauses that it yields have passed."""
        pause_seconds = next(script, None)
        if pause_seconds is not None:
            self.later(int(pause_seconds), lambda: self.play(script))
