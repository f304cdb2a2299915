"""Customers and accounts: whose is it, and the rows on which facts of one account take turns."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, LiteralString

from msgspec import convert

from models.customers import Customer, account_of_customer
from runtime.failures import Transient
from store.arrays import Booleans, Moments, Texts
from store.postgres import Connection, Cursor

LOCK_CUSTOMERS: Final[LiteralString] = """
    WITH new AS (
        INSERT INTO customers (customer_id, account_id, livemode)
        SELECT * FROM unnest(%(customer_ids)b::text[], %(account_ids)b::text[], %(livemodes)b::boolean[])
        ON CONFLICT DO NOTHING
        RETURNING customer_id, account_id, livemode
    ), known AS (
        SELECT customer_id, account_id, livemode, platform_id, named_at, named_by, deleted_at
        FROM customers
        WHERE customer_id = ANY(%(customer_ids)b::text[] || ARRAY(
            SELECT customer_id FROM stripe_objects
            WHERE object_id = ANY(%(object_ids)b::text[]) AND customer_id IS NOT NULL))
        ORDER BY customer_id
        FOR UPDATE
    )
    SELECT customer_id, account_id, livemode, platform_id, named_at, named_by, deleted_at, false AS new FROM known
    UNION ALL
    SELECT customer_id, account_id, livemode, NULL, NULL, NULL, NULL, true FROM new
"""

LOCK_ACCOUNTS: Final[LiteralString] = """
    WITH wanted AS MATERIALIZED (
        SELECT account_id FROM customers
        WHERE customer_id = ANY(%(customer_ids)b::text[] || ARRAY(
            SELECT customer_id FROM stripe_objects
            WHERE object_id = ANY(%(object_ids)b::text[]) AND customer_id IS NOT NULL))
        UNION
        SELECT unnest(%(named)b::text[])
        UNION
        SELECT account_id FROM stripe_objects
        WHERE object_id = ANY(%(object_ids)b::text[]) AND account_id IS NOT NULL
        ORDER BY 1
    ), new AS (
        INSERT INTO accounts (account_id)
        SELECT account_id FROM wanted
        ON CONFLICT DO NOTHING
        RETURNING account_id, last_seq
    ), known AS (
        SELECT account_id, last_seq
        FROM accounts
        WHERE account_id = ANY(ARRAY(SELECT account_id FROM wanted))
        ORDER BY account_id
        FOR UPDATE
    )
    SELECT account_id, last_seq FROM known
    UNION ALL
    SELECT account_id, last_seq FROM new
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


@dataclass(frozen=True, slots=True)
class Whose:
    """By what the accounts of a batch are found: customers, named accounts, and objects whose facts name nobody."""

    customer_ids: Collection[str]
    named: Collection[str]
    object_ids: Collection[str]

    def parameters(self) -> dict[str, Texts]:
        """As statements take them."""
        return {
            "customer_ids": Texts(sorted(self.customer_ids)),
            "named": Texts(sorted(self.named)),
            "object_ids": Texts(sorted(self.object_ids)),
        }


async def lock_customers(connection: Connection, customers: Mapping[str, bool], object_ids: Collection[str]) -> Cursor:
    """Take the turn on customers, by id and livemode, and on those whom these objects belong to, in one order for all.

    What does not exist cannot be locked, so those that nobody knew are made.
    """
    ids = sorted(customers)
    return await connection.execute(
        LOCK_CUSTOMERS,
        {
            "customer_ids": Texts(ids),
            "account_ids": Texts(map(account_of_customer, ids)),
            "livemodes": Booleans(customers[customer_id] for customer_id in ids),
            "object_ids": Texts(sorted(object_ids)),
        },
    )


async def lock_accounts(connection: Connection, whose: Whose) -> Cursor:
    """Take the turn on the accounts that these customers are linked to and on those that facts name, new ones too."""
    return await connection.execute(LOCK_ACCOUNTS, whose.parameters())


@dataclass(frozen=True, slots=True)
class Locked:
    """Customers that are ours to change until the transaction ends, by id, and which of them were new."""

    customers: dict[str, Customer]
    new: frozenset[str]


async def read_customers(locked: Cursor, asked: Collection[str]) -> Locked:
    """The customers that were locked.

    Raises Transient when one is not among them: somebody else made it while we looked, and the next try will see it.
    """
    rows = await locked.fetchall()
    new = frozenset(row["customer_id"] for row in rows if row.pop("new"))
    customers = {row["customer_id"]: convert(row, Customer) for row in rows}
    _require_all(customers, asked, "customer")
    return Locked(customers, new)


async def read_accounts(locked: Cursor, asked: Collection[str]) -> dict[str, int]:
    """The last sequence of the accounts that were locked, by id; raises Transient as `read_customers` does."""
    accounts = {row["account_id"]: row["last_seq"] for row in await locked.fetchall()}
    _require_all(accounts, asked, "account")
    return accounts


def _require_all(found: Collection[str], asked: Collection[str], what: str) -> None:
    if missing := set(asked) - set(found):
        raise Transient(f"met by two at once: {what} {min(missing)}")


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
