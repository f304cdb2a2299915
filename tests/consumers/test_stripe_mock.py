"""Everything that we ask of Stripe is accepted by Stripe's own mock: it knows every place and every parameter."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from consumers.stripe_deeds import PLACES, Deeds
from models.stripe_requests import (
    CancelSubscription,
    ChangeSubscription,
    Proration,
    Refund,
    RefundReason,
    Request,
    Retrieve,
    Why,
)
from ops import catalog
from ops.catalog import Do, Found, Price, Product, Shelf
from runtime import clock
from runtime.stripe_client import Asking, Cause, Refused, StripeClient, Write, path
from store import catalog as store_catalog
from tests.simulator_server import support_stripe_mock
from tests.support_stripe import HURRIED, KEY

SHIPPED = store_catalog.read(Path(__file__).parents[2] / "deploy" / "catalog.yaml")


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with support_stripe_mock.running(tmp_path_factory.mktemp("stripe-mock") / "log") as address:
        yield address


@pytest.fixture
async def client(mock: str) -> AsyncIterator[StripeClient]:
    async with StripeClient(KEY, mock, HURRIED) as one:
        yield one


async def test_the_mock_refuses_what_stripe_does_not_know(client: StripeClient) -> None:
    async def look() -> None:
        return None

    with pytest.raises(Refused):
        await client.write(Write(path("refunds"), {"colour": "blue"}, Cause("x", "1")), look)


@pytest.mark.parametrize("kind", sorted(PLACES))
async def test_each_kind_of_object_is_where_we_look_for_it(client: StripeClient, kind: str) -> None:
    request = Retrieve(object_kind=kind, object_id="x_1", why=Why.OWNER_UNKNOWN)

    *_, shown = await Deeds(client, Asking()).do("evt-1", request)

    assert shown.object["object"] == kind


@pytest.mark.parametrize(
    "request_",
    [
        Refund(payment_intent_id="pi_1", amount_minor=100, reason=RefundReason.REQUESTED_BY_CUSTOMER),
        Refund(charge_id="ch_1", amount_minor=100),
        CancelSubscription(subscription_id="sub_1", at_period_end=True),
        CancelSubscription(subscription_id="sub_1", at_period_end=False),
        ChangeSubscription(subscription_id="sub_1", price_lookup_key="mid_monthly"),
        *(
            ChangeSubscription(subscription_id="sub_1", price_lookup_key="mid_monthly", quantity=2, proration=how)
            for how in Proration
        ),
    ],
    ids=str,
)
async def test_each_deed_is_asked_as_stripe_wants_to_be_asked(client: StripeClient, request_: Request) -> None:
    (answer,) = await Deeds(client, Asking()).do("evt-1", request_)

    assert answer.object["object"] in {"refund", "subscription"}


def found() -> Found:
    """A Stripe where everything is a little otherwise than in the catalog."""
    product = Product(id="plan_mid", active=False, metadata={}, name="Old", updated=1)
    price = {"product": "plan_mid", "currency": "usd", "metadata": {}, "recurring": {"interval": "month"}}
    return Found(
        (product,),
        (
            Price(id="price_1", active=True, unit_amount=1, lookup_key="mid_monthly", **price),
            Price(id="price_2", active=False, unit_amount=9_900, lookup_key="high_monthly", **price),
        ),
    )


@pytest.mark.parametrize("before", [Found((), ()), found()], ids=["nothing", "otherwise"])
async def test_each_step_of_the_catalog_is_asked_as_stripe_wants_to_be_asked(
    client: StripeClient, before: Found
) -> None:
    shelf = Shelf(client)
    await shelf.found()
    steps = catalog.plan(SHIPPED, before)

    for step in steps:
        await shelf.carry_out(step, clock.now())

    assert {step.do for step in steps} >= ({Do.CREATE, Do.REPLACE, Do.UPDATE} if before.products else {Do.CREATE})
