"""What a pretend Stripe's customers have done before anybody asks about it."""

from itertools import count
from typing import Any

from runtime.stripe_client import Answer, Cause, Json, StripeClient, Write, path
from tests.support_stripe import Pretend

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


async def guest_paid(client: StripeClient, pretend: Pretend, reference: str) -> Json:
    """The Checkout session by which somebody has paid whom Stripe does not know; the platform knows the reference."""
    line = {
        "price_data": {"currency": "usd", "unit_amount": 500, "product_data": {"name": "500 credits"}},
        "quantity": 1,
    }
    session = await make(
        client,
        "checkout",
        "sessions",
        mode="payment",
        success_url="https://platform.example/thanks",
        client_reference_id=reference,
        line_items=[line],
    )
    pretend.desk.world.shelf.get("checkout.session", session["id"]).pay("pm_card_visa", email="guest@example.com")
    return (await client.read(path("checkout", "sessions", session["id"]))).object


async def price(client: StripeClient, lookup_key: str, amount: int) -> Json:
    """A monthly price, of a product of its own."""
    return await make(
        client,
        "prices",
        currency="usd",
        unit_amount=amount,
        lookup_key=lookup_key,
        recurring={"interval": "month"},
        product_data={"name": lookup_key},
    )


async def subscribed(client: StripeClient, *price_ids: str) -> Json:
    """A subscription that was paid by card."""
    customer = await make(client, "customers", payment_method="pm_card_visa")
    methods = (await client.read(path("customers", customer["id"], "payment_methods"))).object["data"]
    items = [{"price": price_id} for price_id in price_ids]
    return await make(
        client, "subscriptions", customer=customer["id"], items=items, default_payment_method=methods[0]["id"]
    )
