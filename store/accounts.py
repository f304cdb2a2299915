"""An account as the platform's door shows it: whose customers, on which plan, how paid for, and what was paid.

Asked by customer, which has its indexes, and not by account, which the views only know by joining.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from store.arrays import Texts
from store.postgres import Connection

CUSTOMERS: Final[LiteralString] = """
    SELECT customer_id, deleted_at IS NOT NULL AS deleted, named_at
    FROM customers
    WHERE account_id = %(account_id)s
    UNION ALL
    SELECT customer_id, false, NULL
    FROM door_customers AS made
    WHERE account_id = %(account_id)s AND NOT EXISTS (SELECT FROM customers AS c WHERE c.customer_id = made.customer_id)
    ORDER BY deleted, named_at NULLS LAST, customer_id
"""

MADE: Final[LiteralString] = """
    INSERT INTO door_customers (customer_id, account_id, made_at)
    VALUES (%(customer_id)s, %(account_id)s, clock_timestamp())
    ON CONFLICT DO NOTHING
"""

SUBSCRIPTIONS: Final[LiteralString] = """
    SELECT subscription_id, status, plan, price_lookup_key, billing_interval, quantity, current_period_start,
           current_period_end, trial_end, cancel_at, cancel_at_period_end
    FROM reports.subscriptions
    WHERE customer_id = ANY(%(customer_ids)b::text[])
    ORDER BY as_of DESC, subscription_id
"""

PAYMENT_METHOD: Final[LiteralString] = """
    SELECT method.state::jsonb ->> 'type' AS type, method.state::jsonb ->> 'brand' AS brand,
           method.state::jsonb ->> 'last4' AS last4, (method.state::jsonb ->> 'exp_month')::int AS exp_month,
           (method.state::jsonb ->> 'exp_year')::int AS exp_year
    FROM stripe_objects AS method
    LEFT JOIN stripe_objects AS customer
        ON customer.object_id = method.customer_id
       AND customer.state::jsonb ->> 'default_payment_method_id' = method.object_id
    WHERE method.customer_id = ANY(%(customer_ids)b::text[]) AND method.kind = 'payment_method'
      AND method.state::jsonb ->> 'customer_id' = method.customer_id
    ORDER BY customer.object_id IS NULL, method.occurred_at DESC, method.object_id
    LIMIT 1
"""

INVOICES: Final[LiteralString] = """
    SELECT invoice_id, subscription_id, status, currency, total_minor, tax_minor, discount_minor, amount_due_minor,
           amount_paid_minor, amount_remaining_minor, created_at, paid_at
    FROM reports.invoices
    WHERE customer_id = ANY(%(customer_ids)b::text[])
    ORDER BY created_at DESC, invoice_id
    LIMIT %(rows_max)s
"""

PAYMENTS: Final[LiteralString] = """
    SELECT payment_id, kind, status, currency, amount_minor, tax_minor, discount_minor, refunded_minor, disputed_minor,
           invoice_id, failure_code, occurred_at
    FROM reports.payments
    WHERE customer_id = ANY(%(customer_ids)b::text[])
    ORDER BY occurred_at DESC, payment_id
    LIMIT %(rows_max)s
"""

PAYMENT: Final[LiteralString] = """
    SELECT payment_id, account_id, status, currency, amount_minor, refunded_minor, payment_intent_id, charge_id
    FROM reports.payments
    WHERE payment_id = %(payment_id)s
"""


@dataclass(frozen=True, slots=True)
class Customers:
    """The customers of one account."""

    living: tuple[str, ...]  # The one that was named first stands first.
    deleted: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Everybody whom the account ever was."""
        return self.living + self.deleted


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment, as far as giving it back goes."""

    payment_id: str
    account_id: str | None
    status: str
    currency: str
    amount_minor: int
    refunded_minor: int
    payment_intent_id: str | None
    charge_id: str | None


async def customers(connection: Connection, account_id: str) -> Customers:
    """Everybody whom we know to be this account, those of whom only the door knows too."""
    rows = await (await connection.execute(CUSTOMERS, {"account_id": account_id})).fetchall()
    living = tuple(row["customer_id"] for row in rows if not row["deleted"])
    return Customers(living, tuple(row["customer_id"] for row in rows if row["deleted"]))


async def customer_made(connection: Connection, customer_id: str, account_id: str) -> None:
    """Remember a customer that was made, until the books hear of it and after."""
    await connection.execute(MADE, {"customer_id": customer_id, "account_id": account_id})


async def subscriptions(connection: Connection, customer_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Every subscription of these customers, the last changed first."""
    return await _rows(connection, SUBSCRIPTIONS, customer_ids)


async def payment_method(connection: Connection, customer_ids: Sequence[str]) -> dict[str, Any] | None:
    """How these customers pay: by their default, else by what was attached last."""
    found = await _rows(connection, PAYMENT_METHOD, customer_ids)
    return found[0] if found else None


async def invoices(connection: Connection, customer_ids: Sequence[str], rows_max: int) -> list[dict[str, Any]]:
    """Their newest invoices."""
    return await _rows(connection, INVOICES, customer_ids, rows_max)


async def payments(connection: Connection, customer_ids: Sequence[str], rows_max: int) -> list[dict[str, Any]]:
    """Their newest payments."""
    return await _rows(connection, PAYMENTS, customer_ids, rows_max)


async def payment(connection: Connection, payment_id: str) -> Payment | None:
    """One payment; None when the books do not know it."""
    row = await (await connection.execute(PAYMENT, {"payment_id": payment_id})).fetchone()
    return None if row is None else Payment(**row)


async def _rows(
    connection: Connection, query: LiteralString, customer_ids: Sequence[str], rows_max: int | None = None
) -> list[dict[str, Any]]:
    limit = {} if rows_max is None else {"rows_max": rows_max}
    return list(await (await connection.execute(query, {"customer_ids": Texts(customer_ids), **limit})).fetchall())
