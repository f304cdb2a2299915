"""What is asked for with one Idempotency-Key is done once, and answered the same however often it is asked.

The request is claimed before anything is done, and its answer is kept when it is final: what was done, or what Stripe
refuses.  Whatever ends otherwise (no answer in time, Stripe away, a death of ours) lets the claim go, so that the same
request goes on where that one stopped, under the same keys at Stripe.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ingress.platform.problems import Problem, Word
from ingress.platform.tables import Tables
from runtime.keys import Keyring
from runtime.logs import get_logger
from store import door_requests
from store.door_requests import Asked, Claimed, Kept, NotOurs

CLAIM_SECONDS: Final = 15.0
"""How long a request may be claimed: longer than any is carried out, so only a death leaves one to be taken over."""

LET_GO_SECONDS_MAX: Final = 0.3
KEPT_FOR: Final = timedelta(hours=48)
"""Longer than Stripe keeps its own keys, so that nothing is begun anew which Stripe still remembers."""

FORGET_ROWS_MAX: Final = 1_000
FORGET_EVERY_SECONDS: Final = 60.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: its number and its body."""

    status: int
    body: bytes
    replayed: bool = False


Carry = Callable[[Claimed], Awaitable[Said]]
"""Carries the request out.  Raises what ends it otherwise."""


class Onces:
    """The requests and their answers."""

    def __init__(self, tables: Tables, keyring: Keyring) -> None:
        self._tables = tables
        self._keyring = keyring

    async def once(self, asked: Asked, carry: Carry, say: Callable[[Problem], Said]) -> Said:
        """The answer, carried out now or kept from before.  *say* makes the answer of a problem that is final."""
        async with self._tables.connection() as connection:
            claimed = await door_requests.claim(connection, asked, CLAIM_SECONDS)
        match claimed:
            case Kept():
                body = self._keyring.decrypt(claimed.sealed_with, claimed.answer, asked.seal_context)
                return Said(claimed.status, body, replayed=True)
            case NotOurs.ANOTHER:
                raise Problem.with_field(
                    Word.KEY_REUSED, "Idempotency-Key", "must be new for a request with another path or body"
                )
            case NotOurs.IN_FLIGHT:
                raise Problem(Word.IN_FLIGHT, "Its answer will be kept: send it again.", retry_after_seconds=1)
            case Claimed():
                return await self._carry_out(asked, claimed, carry, say)

    async def _carry_out(self, asked: Asked, claimed: Claimed, carry: Carry, say: Callable[[Problem], Said]) -> Said:
        try:
            said = await carry(claimed)
        except Problem as problem:
            if not problem.is_final:
                await self._let_go(asked)
                raise
            said = say(problem)
        except BaseException:
            await self._let_go(asked)
            raise
        await self._keep(asked, said)
        return said

    async def _keep(self, asked: Asked, said: Said) -> None:
        """Keep the answer.  Where it cannot be kept it is true all the same: asked again, Stripe says it again."""
        sealed_with, answer = self._keyring.encrypt(said.body, asked.seal_context)
        try:
            async with asyncio.timeout(LET_GO_SECONDS_MAX), self._tables.connection() as connection:
                await door_requests.keep(connection, asked, Kept(said.status, answer, sealed_with))
        except Exception as error:  # noqa: BLE001  # What was done is done.
            log.warning("an answer was not kept", error=type(error).__name__)

    async def _let_go(self, asked: Asked) -> None:
        """Let the next one try at once.  Where that cannot be said, the claim ends by itself."""
        with suppress(Exception):
            async with asyncio.timeout(LET_GO_SECONDS_MAX), self._tables.connection() as connection:
                await door_requests.let_go(connection, asked)

    async def forget(self, now: datetime) -> int:
        """Take away what is older than any answer is kept, a bounded number at a time; how many they were."""
        async with self._tables.connection() as connection:
            return await door_requests.forget(connection, now - KEPT_FOR, FORGET_ROWS_MAX)

    async def go_on_forgetting(self, now: Callable[[], datetime]) -> None:
        """Forget now and then, until cancelled."""
        while True:
            try:
                forgotten = await self.forget(now())
            except Exception as error:  # noqa: BLE001  # It is tried again, and nobody waits for it.
                log.warning("old requests were not forgotten", error=type(error).__name__)
                forgotten = 0
            if forgotten < FORGET_ROWS_MAX:
                await asyncio.sleep(FORGET_EVERY_SECONDS)
