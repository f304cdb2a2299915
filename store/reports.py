"""What other people may read: the views of schema `reports`, as `billing_reader` sees them."""

from collections.abc import Mapping
from typing import Any, Final, LiteralString

from store.postgres import Database


async def read(url: str, query: LiteralString, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The rows that a query on `reports` finds, each as a dict by column."""
    async with (
        Database(url, application_name="billing-reports", whole_tables=True) as database,
        database.connection() as connection,
    ):
        return list(await (await connection.execute(query, parameters)).fetchall())


async def facts(url: str) -> list[dict[str, Any]]:
    """What became of every fact, once a copy: its source, its id, the outcome and when that was committed."""
    return await read(url, "SELECT source, fact_id, outcome, committed_at FROM reports.facts")


async def count_facts(url: str) -> int:
    """How many of Stripe's facts are known, copies counted once."""
    query: LiteralString = "SELECT count(DISTINCT fact_id) AS facts FROM reports.facts WHERE source = 'stripe'"
    (row,) = await read(url, query)
    return int(row["facts"])


WHOLE: Final[Mapping[str, LiteralString]] = {
    "subscriptions": "SELECT * FROM reports.subscriptions",
    "payments": "SELECT * FROM reports.payments",
    "refunds": "SELECT * FROM reports.refunds",
    "disputes": "SELECT * FROM reports.disputes",
    "invoices": "SELECT * FROM reports.invoices",
    "customers": "SELECT * FROM reports.customers",
}


async def whole(url: str) -> dict[str, list[dict[str, Any]]]:
    """Everything as it stands, by the name of the report."""
    return {name: await read(url, query) for name, query in WHOLE.items()}
