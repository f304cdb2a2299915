import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from runtime.clock import now
from runtime.keys import Keyring


@pytest.fixture
def edge(tmp_path: Path) -> Path:
    return tmp_path / "edge.json"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.json"


def start(*told: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["env", "-i", *told, sys.executable, "-m", "deploy.keys"], check=False, capture_output=True, text=True
    )


def test_a_start_makes_both_key_rings_for_their_owner_alone(edge: Path, store: Path) -> None:
    started = start(f"EDGE_KEYS_FILE={edge}", f"STORE_KEYS_FILE={store}")

    assert started.returncode == 0, started.stderr
    assert {path.stat().st_mode & 0o777 for path in (edge, store)} == {0o600}
    assert Keyring.from_file(edge).encrypt(b"", b"")[0] != Keyring.from_file(store).encrypt(b"", b"")[0]


def test_a_start_makes_what_is_missing_and_leaves_what_is_there(edge: Path, store: Path) -> None:
    Keyring.generate(edge, now() - timedelta(days=400))
    before = edge.read_bytes()

    started = start(f"EDGE_KEYS_FILE={edge}", f"STORE_KEYS_FILE={store}")

    assert started.returncode == 0, started.stderr
    assert edge.read_bytes() == before
    assert store.exists()


def test_a_start_that_was_not_told_both_places_makes_nothing(edge: Path) -> None:
    started = start(f"EDGE_KEYS_FILE={edge}")

    assert (started.returncode, started.stderr) == (2, "settings: STORE_KEYS_FILE: Field required\n")
    assert not edge.exists()
