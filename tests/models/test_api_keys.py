import os
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from models import api_keys
from models.api_keys import ApiKey, KeyRefusal, Scope

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CHANCE = st.binary(min_size=42, max_size=42)


def key(**more: object) -> ApiKey:
    about = {
        "key_id": "key_1",
        "lineage": "key_1",
        "name": "shop",
        "livemode": False,
        "scopes": frozenset(Scope),
        "created_at": NOW,
    }
    return ApiKey.model_validate(about | more)


@given(CHANCE, st.booleans())
def test_a_key_is_read_as_it_was_made(chance: bytes, livemode: bool) -> None:
    token = api_keys.token(chance, livemode=livemode)
    claim = api_keys.read(token)

    assert claim is not None
    assert claim.livemode is livemode
    assert token.startswith("bk_live_" if livemode else "bk_test_")
    assert claim.key_id.removeprefix("key_") in token


@given(CHANCE, CHANCE)
def test_another_secret_proves_nothing(one: bytes, other: bytes) -> None:
    tokens = [api_keys.token(chance, livemode=False) for chance in (one, one[:10] + other[10:])]
    claims = [api_keys.read(token) for token in tokens]

    assert claims[0] is not None
    assert claims[1] is not None
    assert claims[0].key_id == claims[1].key_id
    assert (claims[0].secret_sha256 == claims[1].secret_sha256) is (one[10:] == other[10:])


@given(CHANCE)
def test_what_is_kept_does_not_show_the_secret(chance: bytes) -> None:
    token = api_keys.token(chance, livemode=False)
    claim = api_keys.read(token)

    assert claim is not None
    assert token.rpartition("_")[2] not in repr(claim)


@given(st.text(max_size=100))
def test_what_is_no_key_claims_nothing(text: str) -> None:
    assert api_keys.read(text) is None


def test_a_key_that_lost_a_character_claims_nothing() -> None:
    token = api_keys.token(os.urandom(42), livemode=False)

    assert all(api_keys.read(token[:place] + token[place + 1 :]) is None for place in range(len(token)))


def test_a_key_opens_in_its_own_mode_until_it_expires_or_is_revoked() -> None:
    later = NOW + timedelta(seconds=1)

    assert key().refusal(NOW, livemode=False) is None
    assert key().refusal(NOW, livemode=True) is KeyRefusal.OTHER_MODE
    assert key(expires_at=later).refusal(NOW, livemode=False) is None
    assert key(expires_at=NOW).refusal(NOW, livemode=False) is KeyRefusal.EXPIRED
    assert key(revoked_at=NOW, expires_at=later).refusal(NOW, livemode=False) is KeyRefusal.REVOKED


def test_use_is_marked_once_an_hour() -> None:
    assert key().is_to_be_marked(NOW)
    assert not key(last_used_at=NOW).is_to_be_marked(NOW + timedelta(minutes=59))
    assert key(last_used_at=NOW).is_to_be_marked(NOW + timedelta(minutes=60))
