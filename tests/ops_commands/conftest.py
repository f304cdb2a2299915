"""An operator's shell: the addresses of this test's own database, keys and Kafka in the environment."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime.keys import Keyring
from tests.conftest import Database
from tests.support_ops_commands import Shop, shop

CATALOG = Path(__file__).parents[2] / "deploy" / "catalog.yaml"


@pytest.fixture
def edge_keys(tmp_path: Path) -> Path:
    path = tmp_path / "edge_keys.json"
    Keyring.generate(path, datetime.now(UTC))
    return path


@pytest.fixture
def store_keys(tmp_path: Path) -> Path:
    path = tmp_path / "store_keys.json"
    Keyring.generate(path, datetime.now(UTC))
    return path


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, database: Database, edge_keys: Path, store_keys: Path) -> pytest.MonkeyPatch:
    """Where `billing` finds this test's world; to be changed at will."""
    monkeypatch.setenv("DATABASE_URL", database.app_url)
    monkeypatch.setenv("EDGE_KEYS_FILE", str(edge_keys))
    monkeypatch.setenv("STORE_KEYS_FILE", str(store_keys))
    monkeypatch.setenv("CATALOG_FILE", str(CATALOG))
    monkeypatch.setenv("COLUMNS", "80")
    return monkeypatch


@pytest.fixture
async def books(
    shell: pytest.MonkeyPatch, database: Database, edge_keys: Path, store_keys: Path
) -> AsyncIterator[Shop]:
    async with shop(database.app_url, edge_keys, store_keys, CATALOG) as opened:
        yield opened
