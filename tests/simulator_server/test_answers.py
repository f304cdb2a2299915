import asyncio

import pytest
import stripe

from simulator.shapes import API_VERSIONS
from simulator.things import HIDDEN
from tests.simulator_server.support import Pretend
from tests.simulator_server.support_tour import take


async def test_every_answer_has_a_request_id_of_its_own(pretend: Pretend) -> None:
    ids = [(await pretend.ask("GET", path))[2]["request-id"] for path in ("/v1/customers", "/v1/customers", "/v1/x")]

    assert len(set(ids)) == 3
    assert all(one.startswith("req_") for one in ids)


async def test_a_thing_that_is_not_there_is_a_404_that_says_so(pretend: Pretend) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await pretend.stripe.v1.customers.retrieve_async("cus_nobody")

    error = caught.value
    assert (error.http_status, error.code, error.param) == (404, "resource_missing", "id")
    assert "No such customer: 'cus_nobody'" in str(error)
    assert error.json_body["error"]["request_log_url"].endswith(error.request_id)


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/pony"), ("DELETE", "/v1/prices/price_1"), ("GET", "/")])
async def test_a_place_that_is_not_there_is_a_404_that_says_so(pretend: Pretend, method: str, path: str) -> None:
    status, told, _ = await pretend.ask(method, path)

    assert status == 404
    assert told["error"]["message"].startswith(f"Unrecognized request URL ({method}: {path})")


@pytest.mark.parametrize("form", ["email=%ff%fe", "a" * (1 << 20), "[=x", "name=x&name[y]=z"])
async def test_a_form_that_nobody_can_read_is_refused_and_never_a_500(pretend: Pretend, form: str) -> None:
    status, told, _ = await pretend.ask("POST", "/v1/customers", form)

    assert status in {200, 400, 413}, told
    assert not list(pretend.desk.world.shelf.all("customer")) or status == 200


async def test_a_version_that_stripe_never_had_is_refused(pretend: Pretend) -> None:
    status, told, _ = await pretend.ask("GET", "/v1/customers", Stripe_Version="yesterday")

    assert (status, told["error"]["message"]) == (400, "Invalid Stripe API version: yesterday")


async def test_the_version_that_was_asked_for_is_told_back(pretend: Pretend) -> None:
    _, _, headers = await pretend.ask("GET", "/v1/customers", Stripe_Version="2024-06-20")

    assert headers["stripe-version"] == "2024-06-20"


async def test_the_journal_tells_of_every_request_and_of_no_secret(pretend: Pretend) -> None:
    await pretend.ask("POST", "/v1/customers", "name=x&payment_method=nonsense", Idempotency_Key="k")
    await pretend.ask("POST", "/v1/payment_methods", "type=card&card[number]=4242424242424242&card[cvc]=123")
    await pretend.ask("GET", "/v1/customers/4242424242424242")
    await pretend.ask("GET", "/v1/payment_methods")

    async with pretend.http.get("/_pretend/journal") as answer:
        told = await answer.text()
        entries = await answer.json()

    assert [(one["method"], one["path"], one["idempotency_key"]) for one in entries] == [
        ("POST", "/v1/customers", "k"),
        ("POST", "/v1/payment_methods", None),
        ("GET", "/v1/customers/[secret]", None),
        ("GET", "/v1/payment_methods", None),
    ]
    assert entries[1]["answer"]["object"] == "payment_method"
    assert entries[3]["answer"] == {"object": "list", "count": 0}
    assert entries[0]["params"]["name"] == "x"
    assert entries[0]["status"] == 400
    assert entries[0]["error"]["code"] == "resource_missing"
    for secret in ("4242424242424242", '"123"', "sk_test_"):
        assert secret not in told


async def test_time_passes_only_when_told_and_never_back(pretend: Pretend) -> None:
    begin = pretend.desk.world.now
    await pretend.advance(days=2)
    await pretend.advance(to=begin + 200_000)

    assert pretend.desk.world.now == begin + 200_000
    for how in ({"to": begin}, {"seconds": -1}, {"weeks": 1}, {}, {"days": 1, "seconds": 1}, {"days": "x"}):
        async with pretend.http.post("/_pretend/advance", json=how) as answer:
            assert answer.status == 400
    async with pretend.http.get("/_pretend/now") as answer:
        assert (await answer.json())["now"] == begin + 200_000


async def test_whoever_hangs_on_the_clock_is_waited_for_before_the_next_thing_falls_due_and_at_the_end(
    pretend: Pretend,
) -> None:
    world, held_up = pretend.desk.world, []
    customer = pretend.desk.world.shelf.get("customer", (await pretend.stripe.v1.customers.create_async({})).id)
    begin = world.now
    for pause in (10, 10, 30):
        world.later(pause, lambda: customer.change(name=f"{world.now}"))
    ended: list[int] = []

    async def hold_up(moment: int) -> None:
        await asyncio.sleep(0)
        held_up.append((moment - begin, len(world.happenings)))

    async def end() -> None:
        ended.append(world.now - begin)

    pretend.desk.before_step.append(hold_up)
    pretend.desk.after_advance.append(end)
    await pretend.advance(seconds=60)

    assert held_up == [(10, 1), (30, 3), (60, 4)]
    assert ended == [60]
    assert world.now == begin + 60


async def test_two_who_let_time_pass_take_turns(pretend: Pretend) -> None:
    world = pretend.desk.world
    begin = world.now
    for pause in range(1, 20):
        world.later(pause, lambda: world.record("ping", {"id": "x", "object": "ping"}))

    await asyncio.gather(*(pretend.desk.advance(begin + pause) for pause in (15, 3, 40)))

    assert world.now == begin + 40
    assert len(world.happenings) == 19


@pytest.mark.parametrize("api_version", API_VERSIONS)
async def test_every_version_sees_every_place(pretend: Pretend, api_version: str) -> None:
    visits = await take(pretend, api_version)

    assert len(visits) > 150
    assert not [visit for visit in visits if HIDDEN in str(visit.body)]
