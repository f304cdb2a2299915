import asyncio

import pytest
import stripe

from simulator.clock import DAY_SECONDS
from tests.simulator_server.support import Pretend


def customer_count(pretend: Pretend) -> int:
    return len(list(pretend.desk.world.shelf.all("customer")))


async def test_the_same_request_under_the_same_key_is_done_once_and_answered_alike(pretend: Pretend) -> None:
    one = await pretend.ask("POST", "/v1/customers", "email=a@b.example", Idempotency_Key="k")
    two = await pretend.ask("POST", "/v1/customers", "email=a@b.example", Idempotency_Key="k")

    assert two[:2] == one[:2]
    assert customer_count(pretend) == 1
    assert "idempotent-replayed" not in one[2]
    assert two[2]["idempotent-replayed"] == "true"
    assert two[2]["original-request"] == one[2]["request-id"] != two[2]["request-id"]


@pytest.mark.parametrize(("path", "form"), [("/v1/customers", "email=other@b.example"), ("/v1/products", "name=x")])
async def test_another_request_under_the_same_key_is_refused(pretend: Pretend, path: str, form: str) -> None:
    await pretend.ask("POST", "/v1/customers", "email=a@b.example", Idempotency_Key="k")

    status, told, _ = await pretend.ask("POST", path, form, Idempotency_Key="k")

    assert (status, told["error"]["type"]) == (400, "idempotency_error")
    with pytest.raises(stripe.IdempotencyError):
        await pretend.stripe.v1.customers.create_async({"email": "c@d.example"}, {"idempotency_key": "k"})


async def test_a_key_whose_request_is_still_in_flight_is_a_conflict(pretend: Pretend) -> None:
    await pretend.fault(kind="slow", method="POST", count=1, seconds=30)
    slow = asyncio.create_task(pretend.ask("POST", "/v1/customers", "name=x", Idempotency_Key="k"))
    await pretend.until_struck()

    status, told, _ = await pretend.ask("POST", "/v1/customers", "name=x", Idempotency_Key="k")
    pretend.desk.leaving.set()
    answered = await slow

    assert (status, told["error"]["code"]) == (409, "idempotency_key_in_use")
    assert (answered[0], answered[1]["name"]) == (200, "x")


async def test_a_saved_500_stays_a_500_though_it_was_done(pretend: Pretend) -> None:
    await pretend.fault(kind="error_after", path="/v1/customers", count=1)

    answers = [await pretend.ask("POST", "/v1/customers", "name=x", Idempotency_Key="k") for _ in range(3)]

    assert [status for status, _, _ in answers] == [500, 500, 500]
    assert [headers.get("idempotent-replayed") for _, _, headers in answers] == [None, "true", "true"]
    assert customer_count(pretend) == 1
    assert (await pretend.ask("POST", "/v1/customers", "name=x", Idempotency_Key="another"))[0] == 200


async def test_what_was_wrong_before_it_began_can_be_put_right_under_the_same_key(pretend: Pretend) -> None:
    refused = await pretend.ask("POST", "/v1/customers", "pony=x", Idempotency_Key="k")
    done = await pretend.ask("POST", "/v1/customers", "name=x", Idempotency_Key="k")

    assert (refused[0], done[0]) == (400, 200)


async def test_a_key_is_forgotten_after_a_day_of_the_worlds_clock(pretend: Pretend) -> None:
    first = await pretend.ask("POST", "/v1/customers", "name=x", Idempotency_Key="k")
    await pretend.advance(seconds=DAY_SECONDS - 1)
    again = await pretend.ask("POST", "/v1/customers", "name=x", Idempotency_Key="k")
    await pretend.advance(seconds=1)
    anew = await pretend.ask("POST", "/v1/customers", "name=x", Idempotency_Key="k")

    assert again[1]["id"] == first[1]["id"] != anew[1]["id"]


async def test_an_api_key_that_was_rotated_does_nothing_twice(pretend: Pretend) -> None:
    old = await pretend.ask("POST", "/v1/customers", "name=x", Idempotency_Key="k")
    new = await pretend.ask(
        "POST", "/v1/customers", "name=x", Idempotency_Key="k", Authorization="Bearer sk_test_rotated"
    )

    assert new[1] == old[1]
    assert customer_count(pretend) == 1


async def test_the_events_of_a_request_name_it_and_its_key(pretend: Pretend) -> None:
    _, customer, headers = await pretend.ask("POST", "/v1/customers", "name=x", Idempotency_Key="k")

    told = (await pretend.stripe.v1.events.list_async({"type": "customer.created"})).data[0]

    assert told.data.object["id"] == customer["id"]
    assert told.request is not None
    assert (told.request.id, told.request.idempotency_key) == (headers["request-id"], "k")
