import asyncio
import json

import pytest
import stripe

from simulator.clock import DAY_SECONDS
from simulator.server.event_log import notification
from tests.simulator_server.support import KEY, Pretend


async def make_customers(pretend: Pretend, count: int) -> list[str]:
    return [(await pretend.stripe.v1.customers.create_async({"name": f"{n}"})).id for n in range(count)]


async def test_every_change_is_on_the_list_newest_first(pretend: Pretend) -> None:
    (customer_id,) = await make_customers(pretend, 1)
    await pretend.stripe.v1.customers.update_async(customer_id, {"name": "y"})
    await pretend.stripe.v1.customers.delete_async(customer_id)

    told = await pretend.stripe.v1.events.list_async({"limit": 3})

    assert [one.type for one in told.data] == ["customer.deleted", "customer.updated", "customer.created"]
    assert told.data[1].data["previous_attributes"]["name"] == "0"
    assert {one.data.object["id"] for one in told.data} == {customer_id}


async def test_events_are_listed_by_type_and_by_group_of_types(pretend: Pretend) -> None:
    (customer_id,) = await make_customers(pretend, 1)
    product = await pretend.stripe.v1.products.create_async({"name": "x"})
    await pretend.stripe.v1.customers.update_async(customer_id, {"name": "y"})

    async def types(**params: object) -> list[str]:
        return [one.type for one in (await pretend.stripe.v1.events.list_async({"limit": 3, **params})).data]

    assert product
    assert await types(type="customer.created") == ["customer.created"]
    assert await types(type="customer.*") == ["customer.updated", "customer.created"]
    assert await types(types=["product.created", "customer.updated"]) == ["customer.updated", "product.created"]
    with pytest.raises(stripe.InvalidRequestError, match="only one of"):
        await types(type="a.b", types=["a.b"])
    with pytest.raises(stripe.InvalidRequestError, match="too many"):
        await types(types=[f"a.b{number}" for number in range(21)])


async def test_what_came_since_is_found_page_by_page_from_before_the_newest_one_known(pretend: Pretend) -> None:
    await make_customers(pretend, 1)
    known = (await pretend.stripe.v1.events.list_async({"limit": 1})).data[0].id
    made = await make_customers(pretend, 5)

    since = await pretend.stripe.v1.events.list_async({"ending_before": known, "limit": 2})

    assert [one.data.object["id"] async for one in since.auto_paging_iter()] == made


async def test_an_event_is_kept_for_thirty_days(pretend: Pretend) -> None:
    await make_customers(pretend, 1)
    (event,) = (await pretend.stripe.v1.events.list_async({"types": ["customer.created"]})).data

    await pretend.advance(seconds=30 * DAY_SECONDS - 1)
    kept = await pretend.stripe.v1.events.retrieve_async(event.id)
    await pretend.advance(seconds=1)

    assert kept.id == event.id
    with pytest.raises(stripe.InvalidRequestError, match="No such event"):
        await pretend.stripe.v1.events.retrieve_async(event.id)
    with pytest.raises(stripe.InvalidRequestError, match="No such event"):
        await pretend.stripe.v2.core.events.retrieve_async(event.id)
    assert (await pretend.stripe.v1.events.list_async({"types": ["customer.created"]})).data == []


async def test_what_no_endpoint_has_accepted_yet_is_found_by_that(pretend: Pretend) -> None:
    await make_customers(pretend, 3)
    lost = (await pretend.stripe.v1.events.list_async({"types": ["customer.created"]})).data[1].id
    pretend.desk.undelivered[lost] = 2

    missing = await pretend.stripe.v1.events.list_async({"types": ["customer.created"], "delivery_success": False})
    arrived = await pretend.stripe.v1.events.list_async({"types": ["customer.created"], "delivery_success": True})

    assert [(one.id, one.pending_webhooks) for one in missing.data] == [(lost, 2)]
    assert len(arrived.data) == 2


async def test_an_event_keeps_the_accounts_version_whatever_version_asks(pretend: Pretend) -> None:
    pretend.desk.api_version = "2024-06-20"
    await make_customers(pretend, 1)

    (event,) = (await pretend.stripe.v1.events.list_async({"types": ["customer.created"]})).data

    assert event.api_version == "2024-06-20"


async def test_a_thin_event_tells_where_to_look_and_the_library_looks_there(pretend: Pretend) -> None:
    (customer_id,) = await make_customers(pretend, 1)
    happening = pretend.desk.world.happenings[-1]

    def listen() -> tuple[str, str, stripe.v2.core.Event]:
        # In a thread: of this version of the library the asynchronous twin sends a parameter of its own by mistake.
        client = stripe.StripeClient(KEY, base_addresses={"api": pretend.address}, http_client=stripe.UrllibClient())
        heard = client.parse_event_notification_without_verification(json.dumps(notification(happening)))
        looked = heard.fetch_related_object()
        assert looked is not None
        return heard.type, looked["id"], heard.fetch_event()

    heard_type, looked_id, fetched = await asyncio.to_thread(listen)

    assert (heard_type, looked_id) == ("v1.customer.created", customer_id)
    assert fetched.id == notification(happening)["id"] != happening.event_id
    assert fetched.snapshot_event == happening.event_id


async def test_thin_events_are_listed_page_by_page(pretend: Pretend) -> None:
    made = await make_customers(pretend, 5)
    begin = pretend.desk.world.happenings[0].created

    listed = await pretend.stripe.v2.core.events.list_async(
        {"limit": 2, "types": ["v1.customer.created"], "created": {"gte": "2020-01-01T00:00:00Z"}}
    )
    mine = await pretend.stripe.v2.core.events.list_async({"object_id": made[2]})
    later = await pretend.stripe.v2.core.events.list_async({"created": {"gt": "2099-01-01T00:00:00Z"}})

    assert begin
    assert [one.related_object.id async for one in listed.auto_paging_iter()] == made[::-1]
    assert [one.type for one in mine.data] == ["v1.customer.created"]
    assert later.data == []
