"""Payments: one row each.  They are loaded with the pieces that make them (`store.objects`)."""

from collections.abc import Mapping
from typing import Any, Final, LiteralString

from models.payments import Payment
from store.arrays import Bigints, Booleans, Column, Moments, Texts
from store.postgres import Connection

_COLUMNS: Final[Mapping[str, tuple[type[Column], str]]] = {
    **{
        name: (Texts, name)
        for name in (
            *("payment_id", "customer_id", "guest_account_id", "currency", "invoice_id", "payment_intent_id"),
            *("charge_id", "failure_code", "purpose"),
        )
    },
    "kind": (Texts, "kind.value"),
    "status": (Texts, "status.value"),
    **{
        name: (Bigints, name)
        for name in ("amount_minor", "tax_minor", "discount_minor", "refunded_minor", "disputed_minor")
    },
    "occurred_at": (Moments, "occurred_at"),
    "livemode": (Booleans, "livemode"),
}
assert set(_COLUMNS) == set(Payment.__struct_fields__), "every field of a payment has its column"

SAVE: Final[LiteralString] = """
    INSERT INTO payments (
        payment_id, customer_id, guest_account_id, kind, status, currency, amount_minor, tax_minor, discount_minor,
        refunded_minor, disputed_minor, invoice_id, payment_intent_id, charge_id, failure_code, purpose, occurred_at,
        livemode)
    SELECT * FROM unnest(
        %(payment_id)b::text[], %(customer_id)b::text[], %(guest_account_id)b::text[], %(kind)b::text[],
        %(status)b::text[], %(currency)b::text[], %(amount_minor)b::bigint[], %(tax_minor)b::bigint[],
        %(discount_minor)b::bigint[], %(refunded_minor)b::bigint[], %(disputed_minor)b::bigint[],
        %(invoice_id)b::text[], %(payment_intent_id)b::text[], %(charge_id)b::text[], %(failure_code)b::text[],
        %(purpose)b::text[], %(occurred_at)b::timestamptz[], %(livemode)b::boolean[])
    ON CONFLICT (payment_id) DO UPDATE SET
        customer_id = excluded.customer_id, guest_account_id = excluded.guest_account_id, kind = excluded.kind,
        status = excluded.status, currency = excluded.currency, amount_minor = excluded.amount_minor,
        tax_minor = excluded.tax_minor, discount_minor = excluded.discount_minor,
        refunded_minor = excluded.refunded_minor, disputed_minor = excluded.disputed_minor,
        invoice_id = excluded.invoice_id, payment_intent_id = excluded.payment_intent_id,
        charge_id = excluded.charge_id, failure_code = excluded.failure_code, purpose = excluded.purpose,
        occurred_at = excluded.occurred_at, livemode = excluded.livemode
"""

MERGED: Final[LiteralString] = """
    DELETE FROM payments WHERE payment_id = ANY(%(payment_ids)b::text[])
"""


async def save(connection: Connection, before: Mapping[str, Payment], after: Mapping[str, Payment]) -> None:
    """Write the payments that are new or have changed, and take away those that are a part of another now."""
    gone = before.keys() - after.keys()
    if gone:
        await connection.execute(MERGED, {"payment_ids": Texts(sorted(gone))})
    changed = [payment for payment_id, payment in sorted(after.items()) if before.get(payment_id) != payment]
    if changed:
        await connection.execute(SAVE, _columns(changed))


def _columns(changed: list[Payment]) -> dict[str, Any]:
    return {name: kind.of(changed, attribute) for name, (kind, attribute) in _COLUMNS.items()}
