from datetime import timedelta
from pathlib import Path

import pytest

from deploy.keys import main
from models.topics import STRIPE_EVENTS
from runtime.clock import now
from runtime.keys import Keyring, UnknownKey


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGE_KEYS_FILE", str(tmp_path / "edge.json"))
    monkeypatch.setenv("STORE_KEYS_FILE", str(tmp_path / "store.json"))
    return tmp_path / "edge.json"


@pytest.fixture
def store(edge: Path) -> Path:
    return edge.with_name("store.json")


def generate(path: Path, age: timedelta) -> tuple[str, bytes]:
    """A key ring made *age* ago, and something sealed with it."""
    Keyring.generate(path, now() - age)
    return Keyring.from_file(path).encrypt(b"said", b"evt_1")


def test_a_start_makes_both_key_rings_for_their_owner_alone(edge: Path, store: Path) -> None:
    assert main(["make"]) == 0

    assert {path.stat().st_mode & 0o777 for path in (edge, store)} == {0o600}
    assert Keyring.from_file(edge).encrypt(b"", b"")[0] != Keyring.from_file(store).encrypt(b"", b"")[0]


def test_a_second_start_leaves_the_keys_alone(edge: Path, store: Path) -> None:
    main(["make"])
    before = edge.read_bytes(), store.read_bytes()

    assert main(["make"]) == 0

    assert (edge.read_bytes(), store.read_bytes()) == before


def test_a_fact_can_be_opened_as_long_as_its_topic_may_hold_it(edge: Path) -> None:
    key_id, sealed = generate(edge, age=timedelta(days=400))  # Nobody rotated for a year: it sealed until just now.

    assert main(["rotate", "edge"]) == 0

    ring = Keyring.from_file(edge)
    assert ring.decrypt(key_id, sealed, b"evt_1") == b"said"
    assert ring.encrypt(b"said", b"evt_1")[0] != key_id


def test_a_key_is_gone_once_its_topic_can_hold_nothing_sealed_with_it(edge: Path) -> None:
    kept = timedelta(milliseconds=STRIPE_EVENTS.retention_ms)
    key_id, sealed = generate(edge, age=kept * 3)
    Keyring.rotate(edge, now() - kept * 2, keep=kept)

    main(["rotate", "edge"])

    with pytest.raises(UnknownKey):
        Keyring.from_file(edge).decrypt(key_id, sealed, b"evt_1")


def test_the_store_opens_all_that_it_ever_sealed(edge: Path, store: Path) -> None:
    del edge
    key_id, sealed = generate(store, age=timedelta(days=4000))
    Keyring.rotate(store, now() - timedelta(days=3000), keep=timedelta(days=5000))

    assert main(["rotate", "store"]) == 0

    assert Keyring.from_file(store).decrypt(key_id, sealed, b"evt_1") == b"said"


@pytest.mark.parametrize("arguments", [[], ["rotate"], ["make", "edge"], ["--help"]])
def test_what_is_not_asked_for_clearly_is_not_done(
    edge: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2

    assert "rotate edge" in capsys.readouterr().err
    assert not edge.exists()
