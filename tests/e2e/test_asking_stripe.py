"""What nobody tells us we ask Stripe, and hear it as a fact: whole processes, and a pretend Stripe over HTTP."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import psycopg
import pytest

from models.customers import account_of_platform
from ops.local.postgres import Role
from ops.local.stack import Stack
from ops.local.waiting import until
from runtime.stripe_client import path
from tests.consumers.support_shop import guest_paid, make
from tests.ingress.support import sign
from tests.support_stripe import pretending

pytestmark = pytest.mark.e2e

ASKING = ("ingress", "books-0", "relay", "clock", "stripe-requests")
IMPATIENT = {"ASK_AFTER_SECONDS": "1", "TICK_SECONDS": "0.2", "SETTLE_SECONDS": "0"}
HEARD_SECONDS_MAX = 60


async def test_a_guests_refund_of_which_nothing_else_was_delivered_finds_its_payment_and_its_owner(
    stack_factory: Callable[..., Awaitable[Stack]],
) -> None:
    async with pretending() as pretend, pretend.client() as client:
        session = await guest_paid(client, pretend, "acme")
        await make(client, "refunds", payment_intent=session["payment_intent"], amount=100)
        told = [event async for event in client.each(path("events"), {"type": "refund.created"})]
        stack = await stack_factory(names=ASKING, settings=IMPATIENT | {"STRIPE_API_BASE": pretend.address})

        await deliver(stack, told[0])

        await until(lambda: bool(payments(stack)), HEARD_SECONDS_MAX, every_seconds=0.2)
        assert payments(stack) == [(session["payment_intent"], "succeeded", 500, 100)]


async def deliver(stack: Stack, event: dict[str, Any]) -> None:
    body = json.dumps(event).encode()
    headers = {"Stripe-Signature": sign(body, stack.webhook_secret)}
    async with aiohttp.ClientSession() as http, http.post(stack.webhook_url, data=body, headers=headers) as answer:
        assert answer.status == 200


def payments(stack: Stack) -> list[tuple[Any, ...]]:
    """The payments of whoever the platform calls acme."""
    question = "SELECT payment_id, status, amount_minor, refunded_minor FROM reports.payments WHERE account_id = %s"
    with psycopg.connect(stack.postgres.url(Role.OWNER)) as owner:
        return owner.execute(question, [account_of_platform("acme")]).fetchall()
