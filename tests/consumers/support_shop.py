"""What a pretend Stripe's customers have done before anybody asks about it."""

from itertools import count
from typing import Any

from runtime.stripe_client import Answer, Cause, Json, StripeClient, Write, path

_numbers = count(1)


async def make(client: StripeClient, *place: str, **params: Any) -> Json:
    """Something at Stripe, made as a platform would."""

    async def look() -> Answer | None:
        return None

    answer = await client.write(Write(path(*place), params, Cause("a test's", str(next(_numbers)))), look)
    return answer.object


async def paid(client: StripeClient, amount: int = 1_000, **params: Any) -> Json:
    """A payment intent that was paid by card."""
    card = {"payment_method": "pm_card_visa", "payment_method_types": ["card"], "confirm": True}
    return await make(client, "payment_intents", amount=amount, currency="usd", **card, **params)
