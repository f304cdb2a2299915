"""Bodies that are judged together get the verdict that each would get alone."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingress import signature
from ingress.answers import Answer
from ingress.judge import Judge
from ingress.signature import Claim
from models.envelopes import Sealed
from runtime.keys import Keyring
from tests.ingress.support import SECRET, event, sign

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRETS = (SECRET.encode(),)


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    Keyring.generate(tmp_path / "keys.json", NOW)
    return Keyring.from_file(tmp_path / "keys.json")


def claim_of(body: bytes) -> Claim:
    claim = signature.read(sign(body, at=NOW.timestamp()), NOW, 300)
    assert isinstance(claim, Claim)
    return claim


def case(kind: str, number: int) -> tuple[Claim, bytes]:
    body = {"misfit": b"[]", "live": event(f"evt_{number}", livemode=True)}.get(kind, event(f"evt_{number}"))
    return (claim_of(b"another body") if kind == "forged" else claim_of(body)), body


VERDICTS = {"forged": Answer.UNSIGNED, "misfit": Answer.UNREADABLE, "live": Answer.OTHER_MODE}


@given(kinds=st.lists(st.sampled_from(["good", "forged", "misfit", "live"]), min_size=1, max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_each_gets_its_own_verdict_whoever_came_in_the_same_turn(keyring: Keyring, kinds: list[str]) -> None:
    async def judged() -> list[Sealed | Answer]:
        judge = Judge(SECRETS, keyring, livemode=False)
        return await asyncio.gather(*(judge.judge(*case(kind, n), NOW) for n, kind in enumerate(kinds)))

    for number, (kind, verdict) in enumerate(zip(kinds, asyncio.run(judged()), strict=True)):
        if kind in VERDICTS:
            assert verdict is VERDICTS[kind]
        else:
            assert isinstance(verdict, Sealed)
            assert verdict.id == f"evt_{number}"
            headers = dict(verdict.headers)
            opened = keyring.decrypt(headers["key_id"].decode(), verdict.value, headers["fact"])
            assert opened == event(f"evt_{number}")


class BreaksOnOne(Judge):
    """Has a bug that one body meets."""

    def read(self, body: bytes, received_at: datetime) -> object:  # type: ignore[override]
        if b"evt_1" in body:
            raise ZeroDivisionError
        return super().read(body, received_at)


async def test_a_bug_that_one_meets_is_not_its_neighbours(keyring: Keyring) -> None:
    judge = BreaksOnOne(SECRETS, keyring, livemode=False)

    verdicts = await asyncio.gather(*(judge.judge(*case("good", n), NOW) for n in range(3)), return_exceptions=True)

    assert [type(verdict) for verdict in verdicts] == [Sealed, ZeroDivisionError, Sealed]


async def test_who_does_not_wait_any_more_keeps_nobody_from_a_verdict(keyring: Keyring) -> None:
    judge = Judge(SECRETS, keyring, livemode=False)
    gone, waits = (asyncio.create_task(judge.judge(*case("good", n), NOW)) for n in range(2))
    await asyncio.sleep(0)  # Both have asked; the turn has not ended.

    gone.cancel()

    assert isinstance(await waits, Sealed)
    with pytest.raises(asyncio.CancelledError):
        await gone
