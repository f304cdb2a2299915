"""Customers and accounts: whose is it, and the rows on which facts of one account take turns."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, LiteralString

from models.customers import Customer, account_of_customer
from store.arrays import Bigints, Booleans, Moments, Texts
from store.postgres import Connection, Cursor

MEET: Final[LiteralString] = """
    INSERT INTO customers (customer_id, account_id, livemode)
    SELECT * FROM unnest(%(customer_ids)b::text[], %(account_ids)b::text[], %(livemodes)b::boolean[])
    ON CONFLICT DO NOTHING
    RETURNING customer_id
"""

LOCK_CUSTOMERS: Final[LiteralString] = """
    SELECT customer_id, account_id, livemode, platform_id, named_at, named_by, deleted_at
    FROM customers
    WHERE customer_id = ANY(%(customer_ids)b::text[])
    ORDER BY customer_id
    FOR UPDATE
"""

OPEN_ACCOUNTS: Final[LiteralString] = """
    INSERT INTO accounts (account_id)
    SELECT account_id FROM customers WHERE customer_id = ANY(%(customer_ids)b::text[])
    UNION
    SELECT unnest(%(named)b::text[])
    ORDER BY 1
    ON CONFLICT DO NOTHING
"""

LOCK_ACCOUNTS: Final[LiteralString] = """
    SELECT account_id, last_seq
    FROM accounts
    WHERE account_id = ANY(%(named)b::text[])
       OR account_id IN (SELECT account_id FROM customers WHERE customer_id = ANY(%(customer_ids)b::text[]))
    ORDER BY account_id
    FOR UPDATE
"""

SAVE_CUSTOMERS: Final[LiteralString] = """
    UPDATE customers
    SET account_id = after.account_id, platform_id = after.platform_id, named_at = after.named_at,
        named_by = after.named_by, deleted_at = after.deleted_at
    FROM unnest(%(customer_ids)b::text[], %(account_ids)b::text[], %(platform_ids)b::text[],
                %(named_ats)b::timestamptz[], %(named_bys)b::text[], %(deleted_ats)b::timestamptz[])
        AS after (customer_id, account_id, platform_id, named_at, named_by, deleted_at)
    WHERE customers.customer_id = after.customer_id
"""

SAVE_ACCOUNTS: Final[LiteralString] = """
    UPDATE accounts
    SET last_seq = after.last_seq
    FROM unnest(%(account_ids)b::text[], %(last_seqs)b::bigint[]) AS after (account_id, last_seq)
    WHERE accounts.account_id = after.account_id
"""


async def meet(connection: Connection, customers: Mapping[str, bool]) -> Cursor:
    """Make rows for customers that nobody knew, by id and livemode: what does not exist cannot be locked.

    The answer holds the customers that were new.
    """
    ids = Texts(sorted(customers))
    return await connection.execute(
        MEET,
        {
            "customer_ids": ids,
            "account_ids": Texts(map(account_of_customer, sorted(customers))),
            "livemodes": Booleans(customers[customer_id] for customer_id in sorted(customers)),
        },
    )


async def lock_customers(connection: Connection, customer_ids: Collection[str]) -> Cursor:
    """Take the turn on these customers, in one order for everybody."""
    return await connection.execute(LOCK_CUSTOMERS, {"customer_ids": Texts(sorted(customer_ids))})


async def open_accounts(connection: Connection, customer_ids: Collection[str], named: Collection[str]) -> None:
    """Make rows for accounts that nobody had: those that these customers are linked to, and those that facts name."""
    await connection.execute(
        OPEN_ACCOUNTS, {"customer_ids": Texts(sorted(customer_ids)), "named": Texts(sorted(named))}
    )


async def lock_accounts(connection: Connection, customer_ids: Collection[str], named: Collection[str]) -> Cursor:
    """Take the turn on the accounts that these customers are linked to, and on those that facts name."""
    return await connection.execute(
        LOCK_ACCOUNTS, {"customer_ids": Texts(sorted(customer_ids)), "named": Texts(sorted(named))}
    )


async def read_customers(locked: Cursor) -> dict[str, Customer]:
    """The customers that were locked, by id."""
    return {row["customer_id"]: Customer.model_validate(row) for row in await locked.fetchall()}


async def read_accounts(locked: Cursor) -> dict[str, int]:
    """The last sequence of the accounts that were locked, by id."""
    return {row["account_id"]: row["last_seq"] for row in await locked.fetchall()}


async def save_customers(connection: Connection, customers: Iterable[Customer]) -> None:
    """Write what we believe of these customers now."""
    after = list(customers)
    await connection.execute(
        SAVE_CUSTOMERS,
        {
            "customer_ids": Texts.of(after, "customer_id"),
            "account_ids": Texts.of(after, "account_id"),
            "platform_ids": Texts.of(after, "platform_id"),
            "named_ats": Moments.of(after, "named_at"),
            "named_bys": Texts.of(after, "named_by"),
            "deleted_ats": Moments.of(after, "deleted_at"),
        },
    )


async def save_accounts(connection: Connection, last_seqs: Mapping[str, int]) -> None:
    """Advance the accounts' sequences."""
    await connection.execute(SAVE_ACCOUNTS, {"account_ids": Texts(last_seqs), "last_seqs": Bigints(last_seqs.values())})
