"""What somebody asked for, and what is at hand to do it with."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, TypeAlias

from ingress.platform.prices import Prices
from ingress.platform.tables import Tables
from models.base import Model
from models.catalog import Catalog
from runtime.stripe_client import Answer, Asking, Cause, Json, StripeClient, Urgency, Write

MARGIN_SECONDS: Final = 0.1
"""Stripe's client gives up so much before the request's time is over: its word says more than a timeout's."""

REQUEST_MARK: Final = "billing_request"
"""The metadata that names the request by which something was made."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: by which key, of which lineage."""

    key_id: str
    lineage: str


@dataclass(frozen=True, slots=True)
class Tools:
    """What every request may use."""

    stripe: StripeClient
    tables: Tables
    catalog: Catalog
    return_origins: tuple[str, ...]
    prices: Prices = field(default_factory=Prices)


@dataclass(frozen=True, slots=True)
class Time:
    """What a request still has."""

    until: float
    monotonic: Callable[[], float]

    @property
    def left(self) -> float:
        """Seconds."""
        return max(0.0, self.until - self.monotonic())


async def _nothing(_: str) -> None:
    """Remember no target: nothing is done."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, when all that can be said against it without knowing its subject is said."""

    tools: Tools
    caller: Caller
    ids: Mapping[str, str]
    time: Time
    body: Any = None
    idempotency_key: str = ""
    again: bool = False  # It was begun before, and may have got anywhere.
    target: str | None = None  # What it then meant to act on.
    aim: Callable[[str], Awaitable[None]] = _nothing

    @property
    def mark(self) -> str:
        """The request's name, without a word of what it is made of."""
        return f"door_{sha256(f'{self.caller.lineage}:{self.idempotency_key}'.encode()).hexdigest()[:40]}"

    @property
    def asking(self) -> Asking:
        """Somebody waits, and not for long."""
        return Asking(Urgency.PERSON, within_seconds=max(0.0, self.time.left - MARGIN_SECONDS))

    async def read(self, where: str, params: Mapping[str, Any] | None = None) -> Json:
        """What Stripe shows there."""
        return (await self.tools.stripe.read(where, params, self.asking)).object

    async def write(
        self, deed: str, where: str, params: Mapping[str, Any], look: "Look", *, delete: bool = False
    ) -> Json:
        """What Stripe did, once for each deed of this request, however often it is sent."""
        write = Write(where, params, Cause(f"door:{deed}", self.mark), "delete" if delete else "post")
        return (await self.tools.stripe.write(write, look, self.asking)).object


Look: TypeAlias = Callable[[], Awaitable[Answer | None]]
Act: TypeAlias = Callable[[Call], Awaitable[Model]]
