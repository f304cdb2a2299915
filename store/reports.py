"""What other people may read: the views of schema `reports`, as `billing_reader` sees them."""

from collections.abc import Mapping
from typing import Any, LiteralString

from store.postgres import Database


async def read(url: str, query: LiteralString, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The rows that a query on `reports` finds, each as a dict by column."""
    async with Database(url, application_name="billing-reports") as database, database.connection() as connection:
        return list(await (await connection.execute(query, parameters)).fetchall())


async def facts(url: str) -> list[dict[str, Any]]:
    """What became of every fact, once a copy: its source, its id, the outcome and when that was committed."""
    return await read(url, "SELECT source, fact_id, outcome, committed_at FROM reports.facts")


async def count_facts(url: str) -> int:
    """How many of Stripe's facts are known, copies counted once."""
    query: LiteralString = "SELECT count(DISTINCT fact_id) AS facts FROM reports.facts WHERE source = 'stripe'"
    (row,) = await read(url, query)
    return int(row["facts"])


async def subscriptions(url: str) -> list[dict[str, Any]]:
    """Every subscription as it stands."""
    return await read(
        url,
        """
        SELECT subscription_id, account_id, customer_id, status, plan, price_lookup_key, billing_interval, quantity,
               current_period_start, current_period_end, trial_end, cancel_at, cancel_at_period_end, canceled_at,
               livemode
        FROM reports.subscriptions
        """,
    )


async def subscription_history(url: str) -> list[dict[str, Any]]:
    """Every version of every subscription."""
    return await read(
        url,
        """
        SELECT subscription_id, customer_id, status, plan, price_lookup_key, billing_interval, quantity,
               current_period_start, current_period_end, trial_end, cancel_at, cancel_at_period_end, canceled_at,
               livemode, version
        FROM reports.subscription_history
        """,
    )
