"""What other people may read: the views of schema `reports`, as `billing_reader` sees them."""

from collections.abc import Mapping
from typing import Any, LiteralString

from store.postgres import Database


async def read(url: str, query: LiteralString, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The rows that a query on `reports` finds, each as a dict by column."""
    async with Database(url, application_name="billing-reports") as database, database.connection() as connection:
        return list(await (await connection.execute(query, parameters)).fetchall())
