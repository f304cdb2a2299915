"""Stripe's customer of an account: the one there is, else one that is made, once."""

from typing import Final

from ingress.platform.calls import Call
from models.customers import account_of_platform
from runtime.stripe_client import Answer, Cause, Write, path
from store import accounts
from store.accounts import Customers

PLACE: Final = path("customers")
SEARCH: Final = path("customers", "search")
LOOKED_THROUGH: Final = 100


async def known(call: Call) -> Customers:
    """The customers that we know the account by."""
    async with call.tools.tables.connection() as connection:
        return await accounts.customers(connection, account_of_platform(call.ids["account"]))


async def customer_of(call: Call) -> str:
    """The customer of the account.  One that has none gets one: the same for all who ask at once, and who ask again.

    The idempotency key is the account's, not the request's.  A customer that was deleted never comes back, so another
    one is made then, under another key.
    """
    customers = await known(call)
    if customers.living:
        return customers.living[0]
    return await _make(call, len(customers.deleted))


async def _make(call: Call, deleted_count: int) -> str:
    account = call.ids["account"]

    async def look() -> Answer | None:
        return await _newest(call, account) or await _found(call, account)

    cause = Cause("customer", f"{account}:{deleted_count}")
    write = Write(PLACE, {"metadata": {"account_id": account}}, cause)
    made = await call.tools.stripe.write(write, look, call.asking)
    customer_id = str(made.object["id"])
    async with call.tools.tables.connection() as connection:
        await accounts.customer_made(connection, customer_id, account_of_platform(account))
    return customer_id


async def _newest(call: Call, account: str) -> Answer | None:
    """The account's customer, if it is among the newest: what was made just now no search finds yet."""
    listed = await call.tools.stripe.read(PLACE, {"limit": LOOKED_THROUGH}, call.asking)
    made = (one for one in listed.object["data"] if (one.get("metadata") or {}).get("account_id") == account)
    return next((Answer(one, listed.answered_at) for one in made), None)


async def _found(call: Call, account: str) -> Answer | None:
    query = f"metadata['account_id']:'{account}'"  # An account's id has no quotes in it: `routes` sees to that.
    found = await call.tools.stripe.read(SEARCH, {"query": query, "limit": 1}, call.asking)
    return Answer(found.object["data"][0], found.answered_at) if found.object["data"] else None
