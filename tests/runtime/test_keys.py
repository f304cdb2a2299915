import json
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.keys import LOOK_SECONDS, Keyring, SealBroken, UnknownKey

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class Stopwatch:
    """Time that passes only when a test says so."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Keyring.generate(tmp_path / "keys.json", NOW)
    return tmp_path / "keys.json"


@given(plain=st.binary(max_size=2_000), context=st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_sealed_opens_to_the_same_bytes(path: Path, plain: bytes, context: bytes) -> None:
    keyring = Keyring.from_file(path)
    key_id, sealed = keyring.encrypt(plain, context)

    assert keyring.decrypt(key_id, sealed, context) == plain


@given(plain=st.binary(min_size=1, max_size=200), data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_seal_with_any_bit_changed_is_broken(path: Path, plain: bytes, data: st.DataObject) -> None:
    keyring = Keyring.from_file(path)
    key_id, sealed = keyring.encrypt(plain, b"evt_1")
    at = data.draw(st.integers(0, len(sealed) * 8 - 1))
    spoilt = bytearray(sealed)
    spoilt[at // 8] ^= 1 << at % 8

    with pytest.raises(SealBroken):
        keyring.decrypt(key_id, bytes(spoilt), b"evt_1")


@pytest.mark.parametrize("length", [0, 11, 12, 27])
def test_a_seal_cut_short_is_broken(path: Path, length: int) -> None:
    keyring = Keyring.from_file(path)
    key_id, sealed = keyring.encrypt(b"body", b"evt_1")

    with pytest.raises(SealBroken):
        keyring.decrypt(key_id, sealed[:length], b"evt_1")


def test_a_body_cannot_be_passed_off_as_another_facts(path: Path) -> None:
    keyring = Keyring.from_file(path)
    key_id, sealed = keyring.encrypt(b"body", b"evt_1")

    with pytest.raises(SealBroken):
        keyring.decrypt(key_id, sealed, b"evt_2")


def test_a_key_of_another_environment_is_unknown(path: Path, tmp_path: Path) -> None:
    Keyring.generate(tmp_path / "other.json", NOW)
    key_id, sealed = Keyring.from_file(tmp_path / "other.json").encrypt(b"body", b"evt_1")

    with pytest.raises(UnknownKey):
        Keyring.from_file(path).decrypt(key_id, sealed, b"evt_1")


def test_the_same_body_is_never_sealed_the_same_way_twice(path: Path) -> None:
    keyring = Keyring.from_file(path)

    assert len({keyring.encrypt(b"body", b"evt_1")[1] for _ in range(100)}) == 100


def test_a_running_process_seals_with_the_new_key_soon_after_a_rotation_and_still_opens_the_old(path: Path) -> None:
    clock = Stopwatch()
    keyring = Keyring.from_file(path, clock)
    old_id, sealed = keyring.encrypt(b"body", b"evt_1")

    Keyring.rotate(path, NOW + DAY, keep=7 * DAY)
    clock.seconds += LOOK_SECONDS

    assert keyring.encrypt(b"body", b"evt_1")[0] != old_id
    assert keyring.decrypt(old_id, sealed, b"evt_1") == b"body"


def test_what_another_process_sealed_with_a_key_just_made_opens_at_once(path: Path) -> None:
    clock = Stopwatch()
    keyring = Keyring.from_file(path, clock)
    Keyring.rotate(path, NOW + DAY, keep=7 * DAY)

    new_id, sealed = Keyring.from_file(path, clock).encrypt(b"body", b"evt_1")

    assert keyring.decrypt(new_id, sealed, b"evt_1") == b"body"


@given(pauses=st.lists(st.integers(0, 20), min_size=1, max_size=15), keep_days=st.integers(1, 10))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_whatever_was_sealed_within_the_keeping_time_opens_however_irregular_the_rotations(
    tmp_path_factory: pytest.TempPathFactory, pauses: list[int], keep_days: int
) -> None:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    Keyring.generate(path, NOW)
    clock = Stopwatch()
    keyring, now, sealed = Keyring.from_file(path, clock), NOW, []
    for pause in pauses:
        for _ in range(pause):
            sealed.append((now, *keyring.encrypt(b"body", b"evt_1")))
            now += DAY
        Keyring.rotate(path, now, keep=keep_days * DAY)
        clock.seconds += LOOK_SECONDS

    for sealed_at, key_id, body in sealed:
        if sealed_at >= now - keep_days * DAY:
            assert keyring.decrypt(key_id, body, b"evt_1") == b"body"


def test_a_key_that_sealed_nothing_within_the_keeping_time_is_gone(path: Path) -> None:
    clock = Stopwatch()
    keyring = Keyring.from_file(path, clock)
    first_id, sealed = keyring.encrypt(b"body", b"evt_1")

    for day in range(1, 10):
        Keyring.rotate(path, NOW + day * DAY, keep=7 * DAY)
    clock.seconds += LOOK_SECONDS

    assert len(json.loads(path.read_text())["keys"]) == 9  # Primary, seven days, and one that ended on the border.
    with pytest.raises(UnknownKey):
        keyring.decrypt(first_id, sealed, b"evt_1")


def test_only_the_owner_may_read_a_keyring_and_nothing_is_left_beside_it(path: Path) -> None:
    Keyring.rotate(path, NOW + DAY, keep=DAY)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_keyring_is_never_replaced_by_generating_one(path: Path) -> None:
    with pytest.raises(FileExistsError):
        Keyring.generate(path, NOW)


def test_of_rotations_at_once_none_loses_the_key_of_another(path: Path) -> None:
    with ThreadPoolExecutor(8) as rotators:
        for _ in range(100):
            rotators.submit(Keyring.rotate, path, NOW + DAY, keep=7 * DAY)

    assert len(json.loads(path.read_text())["keys"]) == 101


def test_a_keyring_that_becomes_unreadable_leaves_a_running_process_the_keys_it_has(path: Path) -> None:
    clock = Stopwatch()
    keyring = Keyring.from_file(path, clock)
    key_id, sealed = keyring.encrypt(b"body", b"evt_1")

    path.write_text("{")
    clock.seconds += LOOK_SECONDS

    assert keyring.decrypt(key_id, sealed, b"evt_1") == b"body"
    assert keyring.encrypt(b"body", b"evt_1")[0] == key_id


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"primary": "a", "keys": {}}',
        '{"primary": "a", "keys": {"a": {"created": "2026-01-01T00:00:00Z", "key": "c2hvcnQtc2VjcmV0"}}}',
        '{"primary": "a", "keys": {"a": {"created": "2026-01-01T00:00:00", "key": "c2hvcnQtc2VjcmV0"}}}',
    ],
)
def test_what_is_no_keyring_is_refused_without_showing_a_key(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)

    with pytest.raises(ValueError, match="is not a keyring") as refusal:
        Keyring.from_file(tmp_path / "keys.json")

    assert "c2hvcnQ" not in str(refusal.value)
    assert "short-secret" not in str(refusal.value)


def test_a_keyring_shows_no_key_when_printed(path: Path) -> None:
    key = json.loads(path.read_text())["keys"].popitem()[1]["key"]

    assert key not in repr(vars(Keyring.from_file(path)))
