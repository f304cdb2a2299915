"""What an operator's command needs to write in the books, built from settings as a worker's is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ops.local.errors import CannotStart
from runtime.failpoints import Failpoints
from runtime.keys import Keyring
from runtime.settings import DatabaseSettings, EdgeKeysSettings, StoreKeysSettings
from store import catalog
from store.apply import Tools
from store.postgres import Database
from store.records import Reader


class ToolsSettings(DatabaseSettings, EdgeKeysSettings, StoreKeysSettings):
    """What a worker of the books knows, but for Kafka: a parked fact is in the database."""

    catalog_file: Path = Path("deploy/catalog.yaml")


@asynccontextmanager
async def connected(settings: ToolsSettings) -> AsyncIterator[Tools]:
    """The tools of `store.apply`, until the block ends."""
    url = settings.database_url.get_secret_value()
    async with Database(url, application_name="billing-operator") as database:
        yield Tools(
            database=database,
            catalog=catalog.read(settings.catalog_file),
            reader=Reader(_keyring(settings.edge_keys_file)),
            store_keys=_keyring(settings.store_keys_file),
            failpoints=Failpoints(None),
        )


def _keyring(path: Path) -> Keyring:
    try:
        return Keyring.from_file(path)
    except ValueError as wrong:
        raise CannotStart(str(wrong)) from None
