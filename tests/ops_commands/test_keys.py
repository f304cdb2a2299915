"""`billing keys rotate`: a new key seals, and old ones open as long as something may be sealed with them."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runtime.keys import Keyring
from tests.support_ops_commands import billing, billing_json

NOW = datetime.now(UTC)


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return _ring(monkeypatch, tmp_path, "edge_keys_file")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return _ring(monkeypatch, tmp_path, "store_keys_file")


def _ring(monkeypatch: pytest.MonkeyPatch, folder: Path, setting: str) -> Path:
    """A keyring with a key of a month ago that sealed until eight days ago, and one that seals since."""
    path = folder / setting
    Keyring.generate(path, NOW - timedelta(days=30))
    Keyring.rotate(path, NOW - timedelta(days=8), timedelta(days=7))
    monkeypatch.setenv(setting.upper(), str(path))
    return path


def _ids(path: Path) -> list[str]:
    return list(json.loads(path.read_bytes())["keys"])


async def test_what_was_sealed_before_a_rotation_opens_after_it(edge: Path, store: Path) -> None:
    key_id, sealed = Keyring.from_file(edge).encrypt(b"body", b"evt_1")

    told = {one["ring"]: one for one in await billing_json("keys", "rotate")}

    ring = Keyring.from_file(edge)
    assert ring.decrypt(key_id, sealed, b"evt_1") == b"body"
    assert ring.encrypt(b"body", b"evt_2")[0] == told["edge"]["primary"] != key_id
    assert key_id in told["edge"]["kept"]


async def test_the_edges_keys_go_after_as_long_as_the_topic_keeps_and_the_stores_never(edge: Path, store: Path) -> None:
    oldest = {path: _ids(path)[0] for path in (edge, store)}

    told = {one["ring"]: one for one in await billing_json("keys", "rotate")}

    assert told["edge"]["dropped"] == [oldest[edge]]
    assert told["store"]["dropped"] == []
    assert oldest[store] in told["store"]["kept"]


async def test_one_keyring_is_rotated_alone(edge: Path, store: Path) -> None:
    before = _ids(store)

    (told,) = await billing_json("keys", "rotate", "--only", "edge")

    assert told["ring"] == "edge"
    assert _ids(store) == before


async def test_a_key_is_never_shown(edge: Path, store: Path) -> None:
    shown = (await billing("keys", "rotate")).output + (await billing("keys", "rotate", "--json")).output

    keys = [key["key"] for path in (edge, store) for key in json.loads(path.read_bytes())["keys"].values()]
    assert len(keys) >= 6
    assert not any(key in shown for key in keys)


async def test_a_keyring_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STORE_KEYS_FILE", str(tmp_path / "nothing"))

    answer = await billing("keys", "rotate", "--only", "store")

    assert answer.exit_code == 1
    # The line is folded where the terminal ends, in the middle of a long path too.
    assert "".join(answer.stderr.split()).endswith("nothing:Nosuchfileordirectory.")


@pytest.mark.parametrize("content", ["[]", "no json", '{"keys": {"a": 1}, "primary": "a"}'])
def test_a_file_that_is_no_keyring_is_left_as_it_is(edge: Path, content: str) -> None:
    edge.write_text(content)

    answer = asyncio.run(billing("keys", "rotate", "--only", "edge"))

    assert answer.exit_code == 1
    assert "is not a keyring" in " ".join(answer.stderr.split())
    assert edge.read_text() == content
