"""Everything that the door asks of Stripe is accepted by Stripe's own mock: it knows every place and every parameter.

What it answers are its fixtures, whatever was asked; so each way through the door is asked for by itself.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from ingress.platform import checkout, customers, portal, refunds, shapes, subscriptions
from ingress.platform.calls import Call, Caller, Time, Tools
from ingress.platform.tables import Tables
from runtime import clock
from runtime.stripe_client import Json, Refused, StripeClient, path
from tests.ingress_platform.support import BACK, ORIGIN, PACK, PLAN, new_account
from tests.simulator_server import support_stripe_mock
from tests.support_store import CATALOG, Bench
from tests.support_stripe import HURRIED, KEY


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with support_stripe_mock.running(tmp_path_factory.mktemp("stripe-mock") / "log") as address:
        yield address


@pytest.fixture
async def call(mock: str, bench: Bench) -> AsyncIterator[Callable[..., Call]]:
    """Makes a request to the door, with Stripe's mock behind it."""
    async with StripeClient(KEY, mock, HURRIED) as stripe:
        tools = Tools(stripe, Tables(bench.database, 2), CATALOG, (ORIGIN,))
        ids = {"account": new_account(), "payment": "pi_1"}
        time = Time(clock.monotonic() + 20, clock.monotonic)

        def make(body: Any = None, **more: Any) -> Call:
            return Call(tools, Caller("key_1", "key_1"), ids, time, body=body, idempotency_key="one", **more)

        yield make


async def test_the_mock_refuses_what_stripe_does_not_know(call: Callable[..., Call]) -> None:
    async def look() -> None:
        return None

    with pytest.raises(Refused):
        await call().write("x", path("checkout", "sessions"), {"colour": "blue"}, look)


@pytest.mark.parametrize(
    "asked",
    [
        PLAN,
        PACK,
        PLAN | {"plan": "free_monthly"},
        PLAN | {"trial_days": 14, "allow_promotion_codes": True, "automatic_tax": True},
    ],
    ids=str,
)
async def test_a_page_of_checkout_is_asked_for_as_stripe_wants_it(
    call: Callable[..., Call], asked: dict[str, Any]
) -> None:
    shown = await checkout.create(call(shapes.CheckoutAsked.model_validate(asked)))

    assert shown.session_id.startswith("cs_")


async def test_a_page_of_the_portal_is_asked_for_as_stripe_wants_it(call: Callable[..., Call]) -> None:
    assert (await portal.create(call(shapes.PortalAsked(return_url=BACK)))).url.startswith("https://")


async def test_a_customer_is_looked_for_as_stripe_wants_it(call: Callable[..., Call]) -> None:
    request = call()

    assert await customers._newest(request, "somebody") is None
    assert await customers._found(request, "somebody") is not None


@pytest.mark.parametrize("amount_minor", [None, 100])
@pytest.mark.parametrize("of", ["payment_intent_id", "charge_id"])
async def test_a_refund_is_asked_for_as_stripe_wants_it(
    call: Callable[..., Call], bench: Bench, of: str, amount_minor: int | None
) -> None:
    bench.sql(
        """
        INSERT INTO payments (payment_id, kind, status, currency, amount_minor, tax_minor, discount_minor,
            refunded_minor, disputed_minor, payment_intent_id, charge_id, occurred_at, livemode)
        VALUES ('pi_1', 'other', 'succeeded', 'usd', 1000, 0, 0, 0, 0, %(payment_intent_id)s, %(charge_id)s, now(),
            false)
        """,
        {"payment_intent_id": None, "charge_id": None} | {of: "x_1"},
    )

    for again in (False, True):
        shown = await refunds.create(call(shapes.RefundAsked(amount_minor=amount_minor), again=again))
        assert shown.refund_id.startswith("re_")


async def shown(call: Call, *where: str) -> Json:
    return await call.read(path(*where))


async def test_each_step_of_a_change_is_asked_for_as_stripe_wants_it(call: Callable[..., Call]) -> None:
    request = call()
    subscription = await shown(request, "subscriptions", "sub_1") | {"schedule": "sub_sched_1"}
    item = subscription["items"]["data"][0]

    steps = [
        await subscriptions._upgrade(request, subscription, item, "price_1"),
        await subscriptions._downgrade(request, subscription, item, "price_1"),
        await subscriptions._downgrade(request, subscription | {"schedule": None}, item, "price_1"),
        await subscriptions._let_run_out(request, subscription),
        await subscriptions._end(request, subscription),
        await subscriptions._resume(request, subscription | {"status": "paused"}),
        await subscriptions._resume(request, subscription | {"pause_collection": {"behavior": "void"}}),
        await subscriptions._resume(request, subscription | {"cancel_at_period_end": True}),
    ]

    assert {step.subscription_id for step in steps} == {subscription["id"]}
