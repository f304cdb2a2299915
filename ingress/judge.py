"""Whether a body is to be believed, what is on its envelope, and its seal: for all that came in one turn of the loop.

The bodies that came together are taken through each step together: checking, reading and sealing one after the other
was seen to take a fifth less of the door's CPU under load than in between all else that a request needs, most likely
because each step's code stays in the processor's caches.  A lone body waits for nobody: its turn ends at once.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client import Counter

from ingress.answers import Answer
from ingress.signature import Claim, Doubt
from models import envelopes
from models.envelopes import Sealed, Written
from runtime.keys import Keyring

DOUBTS = Counter("ingress_doubts_total", "Requests that were not believed, by why", ["doubt"])
MISFITS = Counter("ingress_misfits_total", "Signed bodies that were no event, by why", ["misfit"])


@dataclass(slots=True)
class _Case:
    claim: Claim
    body: bytes
    received_at: datetime
    verdict: "asyncio.Future[Sealed | Answer]"
    envelope: Written | None = field(default=None)


_Step = Callable[[_Case], Sealed | Answer | None]


class Judge:
    """Judges bodies by our secrets, and seals with our keys those that it believes."""

    def __init__(self, secrets: tuple[bytes, ...], keyring: Keyring, *, livemode: bool) -> None:
        self._secrets = secrets
        self._keyring = keyring
        self._livemode = livemode
        self._cases: list[_Case] = []

    async def judge(self, claim: Claim, body: bytes, received_at: datetime) -> Sealed | Answer:
        """The sealed fact, or the answer to what is none; together with all that is asked in this turn of the loop."""
        loop = asyncio.get_running_loop()
        if not self._cases:
            loop.call_soon(self._judge_all)
        case = _Case(claim, body, received_at, loop.create_future())
        self._cases.append(case)
        return await case.verdict

    def verify(self, claim: Claim, body: bytes, received_at: datetime) -> Written | Answer:
        """The envelope of a body that is believed, or the answer to one that is not."""
        return self.doubt_forged(claim, body) or self.read(body, received_at)

    def doubt_forged(self, claim: Claim, body: bytes) -> Answer | None:
        """The answer to a body that nobody with our secrets signed."""
        return None if claim.holds(body, self._secrets) else doubted(Doubt.FORGED)

    def read(self, body: bytes, received_at: datetime) -> Written | Answer:
        """The envelope of what was signed, or the answer to what is no event, or not of our mode."""
        envelope = envelopes.read(body, received_at, livemode=self._livemode)
        if isinstance(envelope, envelopes.Misfit):
            MISFITS.labels(envelope.value).inc()
            return Answer.UNREADABLE
        return envelope if envelope.livemode is self._livemode else Answer.OTHER_MODE

    def seal(self, envelope: Written, body: bytes) -> Sealed:
        """The body sealed, bound to its envelope as that is written."""
        return envelope.sealed(body, self._keyring.encrypt)

    def _judge_all(self) -> None:
        cases, self._cases = self._cases, []
        for step in (self._believe, self._read, self._seal):
            cases = [case for case in cases if _goes_on(case, step)]

    def _believe(self, case: _Case) -> Answer | None:
        return self.doubt_forged(case.claim, case.body)

    def _read(self, case: _Case) -> Answer | None:
        found = self.read(case.body, case.received_at)
        if isinstance(found, Answer):
            return found
        case.envelope = found
        return None

    def _seal(self, case: _Case) -> Sealed:
        assert case.envelope is not None, "it was read one step before"
        return self.seal(case.envelope, case.body)


def doubted(doubt: Doubt) -> Answer:
    """The answer to a request that is not believed, counted by why."""
    DOUBTS.labels(doubt.value).inc()
    return Answer.UNSIGNED


def _goes_on(case: _Case, step: _Step) -> bool:
    """Take a case through a step; False when it has its verdict, or nobody waits for one any more."""
    if case.verdict.done():
        return False
    try:
        verdict = step(case)
    except Exception as error:  # noqa: BLE001  # One case's trouble is not its neighbours'.
        case.verdict.set_exception(error)
        return False
    if verdict is not None:
        case.verdict.set_result(verdict)
    return verdict is None
