import asyncio

import aiohttp
import pytest
import stripe

from simulator.dice import Dice
from simulator.server.faults import Faults
from tests.simulator_server.support import Pretend

FORM = "name=x"


def customer_count(pretend: Pretend) -> int:
    return len(list(pretend.desk.world.shelf.all("customer")))


@pytest.mark.parametrize(
    ("kind", "done"), [("error", 0), ("error_after", 1), ("reset", 0), ("reset_after", 1), ("rate_limit", 0)]
)
async def test_a_fault_leaves_behind_what_its_name_says(pretend: Pretend, kind: str, done: int) -> None:
    await pretend.fault(kind=kind, method="POST", count=1)

    with pytest.raises(stripe.StripeError):
        await pretend.stripe.v1.customers.create_async({"name": "x"})

    assert customer_count(pretend) == done
    await pretend.stripe.v1.customers.create_async({"name": "x"})
    assert customer_count(pretend) == done + 1


@pytest.mark.parametrize(("kind", "done"), [("hang", 0), ("hang_after", 1)])
async def test_who_is_kept_hanging_gets_no_answer_at_all(pretend: Pretend, kind: str, done: int) -> None:
    await pretend.fault(kind=kind, method="POST", count=1)
    hanging = asyncio.create_task(pretend.ask("POST", "/v1/customers", FORM))
    await pretend.until_struck()

    assert (await pretend.ask("GET", "/v1/customers"))[0] == 200  # Nobody else is kept.
    assert not hanging.done()
    assert customer_count(pretend) == done
    pretend.desk.leaving.set()
    with pytest.raises(aiohttp.ClientError):
        await hanging


async def test_a_lost_answer_is_found_under_its_key(pretend: Pretend) -> None:
    await pretend.fault(kind="reset_after", method="POST", count=1)
    with pytest.raises(aiohttp.ClientError):
        await pretend.ask("POST", "/v1/customers", FORM, Idempotency_Key="k")

    status, customer, headers = await pretend.ask("POST", "/v1/customers", FORM, Idempotency_Key="k")

    assert (status, headers["idempotent-replayed"]) == (200, "true")
    assert customer_count(pretend) == 1
    assert pretend.desk.world.shelf.get("customer", customer["id"])


async def test_the_library_repeats_what_failed_and_it_is_done_once(pretend: Pretend) -> None:
    await pretend.fault(kind="reset_after", method="POST", count=1)

    customer = await pretend.stripe.v1.customers.create_async({"name": "x"}, {"max_network_retries": 2})

    assert customer.name == "x"
    assert customer_count(pretend) == 1


async def test_an_answer_that_was_kept_is_given_whatever_strikes(pretend: Pretend) -> None:
    first = await pretend.ask("POST", "/v1/customers", FORM, Idempotency_Key="k")
    await pretend.fault(kind="error", method="POST", count=1)

    again = await pretend.ask("POST", "/v1/customers", FORM, Idempotency_Key="k")
    other = await pretend.ask("POST", "/v1/customers", FORM, Idempotency_Key="another")

    assert again[:2] == first[:2]
    assert other[0] == 500


async def test_a_slow_answer_is_the_right_one(pretend: Pretend) -> None:
    await pretend.fault(kind="slow", seconds=0.01)

    assert (await pretend.stripe.v1.customers.create_async({"name": "x"})).name == "x"


async def test_a_fault_strikes_where_it_was_told_to(pretend: Pretend) -> None:
    await pretend.fault(kind="error", method="POST", path="/v1/prod*", count=2)

    statuses = [
        (await pretend.ask("POST", path, "name=x"))[0]
        for path in ("/v1/customers", "/v1/products", "/v1/products", "/v1/products")
    ]

    assert statuses == [200, 500, 500, 200]


async def test_faults_are_shown_and_taken_back(pretend: Pretend) -> None:
    await pretend.fault(kind="error", count=5)
    await pretend.ask("GET", "/v1/customers")

    async with pretend.http.get("/_pretend/faults") as answer:
        assert [(rule["kind"], rule["count"], rule["struck"]) for rule in await answer.json()] == [("error", 4, 1)]
    async with pretend.http.delete("/_pretend/faults") as answer:
        assert await answer.json() == []
    assert (await pretend.ask("GET", "/v1/customers"))[0] == 200


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"kind": "flood"},
        {"kind": "slow", "until": 3},
        {"kind": "error", "count": "many"},
        {"kind": "error", "share": 2},
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused(pretend: Pretend, rule: dict[str, object]) -> None:
    async with pretend.http.post("/_pretend/faults", json=rule) as answer:
        assert answer.status == 400
        assert "fault" in (await answer.json())["error"]


def test_a_share_of_requests_is_struck_and_by_the_seed_always_the_same() -> None:
    def struck() -> list[bool]:
        faults = Faults(Dice("one seed"))
        faults.add({"kind": "error", "share": 0.25})
        return [faults.draw("GET", f"/v1/{number}") is not None for number in range(400)]

    assert struck() == struck()
    assert 60 <= sum(struck()) <= 140
