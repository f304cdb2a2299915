"""The one way to Stripe.  Two callers take it: what a decision asked (`consumers`), and the door where people wait.

    async with StripeClient.of(settings) as stripe:
        charge = await stripe.read(path("charges", charge_id), asking=Asking(within_seconds=5))
        refund = await stripe.write(Write(path("refunds"), params, Cause("refund", request_id)), look=find_refund)

Whatever happens on the way, a business action is done once:

- each write carries an idempotency key made from its cause, so that the same cause asks under the same key, in the next
  try as after a restart;
- a failure that Stripe keeps under the key is resolved by looking whether it was done all the same, and only where it
  was not is it asked for again, under the key of the next generation;
- what cannot be known is said to be unknown, and never taken for a failure.

Requests of this process share one budget, in which a person goes first, and one circuit.  Nothing that is logged or
counted here holds a key, an address or a name.  (https://docs.stripe.com/api/idempotent_requests)
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import count
from random import random
from types import TracebackType
from typing import Any, Final, Self

import stripe
from prometheus_client import Counter, Gauge, Histogram

from runtime import clock
from runtime.logs import get_logger
from runtime.metrics import LATENCY_SECONDS_BUCKETS
from runtime.settings import StripeSettings
from runtime.stripe_budget import Budget, Urgency
from runtime.stripe_circuit import Circuit, State
from runtime.stripe_errors import (
    KEY_REFUSED,
    SERVER_ERRORS,
    Again,
    KeptFailure,
    Refused,
    StripeTrouble,
    Unknown,
    is_replayed,
    judge,
)
from runtime.stripe_patience import Patience
from runtime.stripe_transport import NotSent, Transport
from runtime.stripe_words import QUIETLY, Answer, Asking, Cause, Json, Look, Request, Write, path

__all__ = [
    "API_VERSION",
    "Again",
    "Answer",
    "Asking",
    "Cause",
    "Json",
    "Look",
    "Refused",
    "StripeClient",
    "StripeTrouble",
    "Unknown",
    "Urgency",
    "Write",
    "path",
]

API_VERSION: Final = "2026-10-28.endive"
"""What we ask in, whatever the account's default is: the shape of an answer must not change behind our back."""

PAGE_OBJECTS: Final = 100
TIMEOUT: Final = "timeout"
FAIR_SECONDS: Final = 1.0
"""Who waits for less and hears nothing has learned nothing about Stripe."""

ASKED: Final = Counter("stripe_requests", "Requests to Stripe, by what came of them", ["method", "resource", "outcome"])
ASKED_AGAIN: Final = Counter("stripe_retries", "Requests that were sent again, by why", ["reason"])
LOOKED: Final = Counter(
    "stripe_kept_failures", "Failures that Stripe kept under a key, by what looking found", ["found"]
)
SECONDS: Final = Histogram(
    "stripe_request_seconds", "From sending to the answer", ["resource"], buckets=LATENCY_SECONDS_BUCKETS
)
WAITED: Final = Histogram(
    "stripe_budget_wait_seconds", "How long a turn was waited for", ["urgency"], buckets=LATENCY_SECONDS_BUCKETS
)
CIRCUIT: Final = Gauge("stripe_circuit_state", "0 closed, 1 half open, 2 open: nothing is sent")

log = get_logger(__name__)


@dataclass(slots=True)
class _Time:
    """What a caller still has."""

    until: float
    monotonic: Callable[[], float]

    @property
    def left(self) -> float:
        return max(0.0, self.until - self.monotonic())


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a client."""

    requests_per_second: float
    try_seconds_max: float
    patience: Patience = field(default_factory=Patience)
    circuit: Callable[[], Circuit] = Circuit


class StripeClient:
    """Stripe, as one process asks it."""

    def __init__(self, api_key: str, api_base: str, limits: Limits, die: Callable[[], float] = random) -> None:
        _hush_the_library()
        self._transport = Transport()
        self._stripe = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base},
            max_network_retries=0,  # Asking again is ours to do: within the caller's time, the budget and the circuit.
            http_client=self._transport,
        )
        self._limits = limits
        self._budget = Budget(limits.requests_per_second)
        self._circuit = limits.circuit()
        self._die = die

    @classmethod
    def of(cls, settings: StripeSettings) -> Self:
        """The client that settings describe; whether its key may be used here they have checked."""
        limits = Limits(settings.stripe_requests_per_second, settings.stripe_try_seconds_max)
        return cls(settings.stripe_api_key.get_secret_value(), settings.stripe_api_base, limits)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close_async()

    async def read(self, path: str, params: Mapping[str, Any] | None = None, asking: Asking = QUIETLY) -> Answer:
        """What Stripe shows there.  Raises Refused, or Again when the caller's time is up."""
        return await self._ask(Request("get", path, params or {}), asking.urgency, self._time(asking))

    async def each(self, path: str, params: Mapping[str, Any], asking: Asking = QUIETLY) -> AsyncIterator[Json]:
        """Every object of a list, page by page, the newest first.  Each page has the caller's whole time."""
        after: dict[str, str] = {}
        while True:
            page = (await self.read(path, {"limit": PAGE_OBJECTS, **params, **after}, asking)).object
            for found in page["data"]:
                yield found
            if not page["has_more"]:
                return
            after = {"starting_after": page["data"][-1]["id"]}

    async def write(self, write: Write, look: Look, asking: Asking = QUIETLY) -> Answer:
        """What came of it, done once.  Raises Refused or Again when it was not done, Unknown when it may have been.

        *look* is asked when Stripe keeps a failure under the key: it finds what was done all the same.
        """
        time = self._time(asking)
        for generation in count():
            key = write.cause.key(generation)
            try:
                return await self._ask(Request(write.method, write.path, write.params, key), asking.urgency, time)
            except KeptFailure as failure:
                found = await self._look(look, failure, time)
                if found is not None:
                    return found
                pause = self._pause(failure, generation + 1, time)
                if pause is None:
                    raise
            await asyncio.sleep(pause)
        raise AssertionError("counting never ends")

    async def ready(self) -> None:
        """Return when requests are sent; raise while the circuit keeps them back."""
        closed_for = self._circuit.closed_for(clock.monotonic())
        if closed_for:
            raise Again("circuit_open", after_seconds=closed_for)

    def _time(self, asking: Asking) -> _Time:
        return _Time(clock.monotonic() + asking.within_seconds, clock.monotonic)

    async def _look(self, look: Look, failure: KeptFailure, time: _Time) -> Answer | None:
        """What looking found.  Where it could not look, the failure stays what it is: unknown."""
        try:
            async with asyncio.timeout(time.left):
                found = await look()
        except (StripeTrouble, TimeoutError) as trouble:
            log.warning("could not look", reason=failure.reason, error=type(trouble).__name__)
            raise failure from trouble
        LOOKED.labels("done" if found else "not_done").inc()
        return found

    async def _ask(self, request: Request, urgency: Urgency, time: _Time) -> Answer:
        """The answer, after as many tries as patience and the caller's time allow."""
        unknown: Unknown | None = None
        for tries in count(1):
            try:
                return await self._try(request, urgency, time)
            except (Refused, KeptFailure):
                raise
            except (Again, Unknown) as trouble:
                unknown = trouble if isinstance(trouble, Unknown) else unknown
                pause = self._pause(trouble, tries, time)
                if pause is None:
                    raise unknown or trouble from None  # An earlier try may have been heard, whatever this one was.
                ASKED_AGAIN.labels(trouble.reason).inc()
            await asyncio.sleep(pause)
        raise AssertionError("counting never ends")

    def _pause(self, trouble: StripeTrouble, tries: int, time: _Time) -> float | None:
        """How long to wait before the next try, if there is to be one; a key that is refused stays refused."""
        if trouble.reason == KEY_REFUSED:
            return None
        return self._limits.patience.pause(tries, time.left, self._die(), trouble.after_seconds)

    async def _try(self, request: Request, urgency: Urgency, time: _Time) -> Answer:
        """One request, sent when it has its turn and the circuit lets it pass."""
        await self._turn(urgency, time)
        began = clock.monotonic()
        if not self._circuit.admits(began):
            raise self._kept_back(began)
        seconds_max = min(time.left, self._limits.try_seconds_max)
        try:
            answer = await self._send(request, seconds_max)
        except StripeTrouble as trouble:
            self._learn(trouble, clock.monotonic(), seconds_max)
            _count(request, type(trouble).__name__, began)
            raise
        except BaseException:  # Cancelled: the caller did not wait for what Stripe says.
            self._circuit.gave_up()
            raise
        self._circuit.succeeded()
        CIRCUIT.set(State.CLOSED.value)
        _count(request, Answer.__name__, began)
        return answer

    async def _turn(self, urgency: Urgency, time: _Time) -> None:
        """Wait for a turn of the budget, unless the circuit is open: then there is nothing to wait for."""
        began = clock.monotonic()
        if self._circuit.closed_for(began):
            raise self._kept_back(began)
        try:
            async with asyncio.timeout(time.left):
                await self._budget.turn(urgency)
        except TimeoutError:
            raise Again("no_turn") from None
        WAITED.labels(urgency.name.lower()).observe(clock.monotonic() - began)

    def _kept_back(self, now: float) -> Again:
        """Nothing was sent, because Stripe is left alone for a while."""
        return Again("circuit_open", after_seconds=self._circuit.closed_for(now))

    async def _send(self, request: Request, seconds_max: float) -> Answer:
        """Stripe's answer to one request."""
        began = clock.monotonic()
        try:
            async with asyncio.timeout(seconds_max):
                response = await self._stripe.raw_request_async(
                    request.method, request.path, idempotency_key=request.idempotency_key, **request.params
                )
        except stripe.StripeError as error:
            raise _trouble(error, writes=request.writes) from None
        except TimeoutError:
            raise _unanswered(TIMEOUT, writes=request.writes) from None
        return Answer(
            response.data,
            _shown_at(response.headers, clock.monotonic() - began),
            request_id=response.headers.get("request-id"),
            idempotency_key=request.idempotency_key,
            replayed=is_replayed(response.headers),
        )

    def _learn(self, trouble: StripeTrouble, now: float, seconds_max: float) -> None:
        """Tell the circuit what a try's trouble says of Stripe: a refusal is an answer, silence is none.

        Who was in a hurry has not heard, and a failure of yesterday that Stripe kept is no failure of today.
        """
        in_a_hurry = trouble.reason == TIMEOUT and seconds_max < min(FAIR_SECONDS, self._limits.try_seconds_max)
        if in_a_hurry or trouble.replayed:
            self._circuit.gave_up()
        elif trouble.status is None or trouble.status >= SERVER_ERRORS:
            self._circuit.failed(now)
        else:
            self._circuit.succeeded()
        CIRCUIT.set(self._circuit.state(now).value)


def _trouble(error: stripe.StripeError, *, writes: bool) -> StripeTrouble:
    """What an error of the library's means.  Its words are left behind: they may quote somebody."""
    if error.http_status is not None:
        return judge(error.http_status, error.headers or {}, error.json_body, writes=writes)
    if isinstance(error, NotSent):
        return Again("unreachable")
    return _unanswered("connection_lost", writes=writes)


def _unanswered(reason: str, *, writes: bool) -> StripeTrouble:
    """It was sent, and no answer came: a question may be put again, a deed may have been done."""
    return Unknown(reason) if writes else Again(reason)


def _shown_at(headers: Mapping[str, str], took_seconds: float) -> datetime:
    """Since when what Stripe shows may be so, by its own clock: ours may run apart from it, and all of its is dated so.

    A slow answer may have been looked up as long ago as it took; whole seconds, as the clock has no others.
    """
    took = timedelta(seconds=int(took_seconds))
    with suppress(ValueError):
        dated = parsedate_to_datetime(headers.get("date", ""))
        if dated.tzinfo is not None:
            return dated - took
    return clock.now() - took


def _count(request: Request, outcome: str, began: float) -> None:
    ASKED.labels(request.method, request.resource, outcome.lower()).inc()
    SECONDS.labels(request.resource).observe(clock.monotonic() - began)


def _hush_the_library() -> None:
    """It logs each URL and the words of each error, and tells Stripe how it is used: neither is for it to say."""
    logging.getLogger("stripe").setLevel(logging.CRITICAL)
    stripe.enable_telemetry = False
