"""Webhooks as Stripe delivers them, to a real endpoint that answers as it is told."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
import stripe
from aiohttp import web

from ops.local.waiting import until
from simulator import story
from simulator.clock import DAY_SECONDS, HOUR_SECONDS
from simulator.dice import Dice
from simulator.server.event_log import thin_id
from simulator.shapes import API_VERSIONS
from simulator.webhooks import RETRY_PAUSES_SECONDS, TRIED_SECONDS, Disorder
from tests.simulator_server.support import Pretend


@dataclass
class Heard:
    """One request at our endpoint."""

    path: str
    body: bytes
    signature: str
    at: int

    @property
    def event(self) -> Any:
        return json.loads(self.body)


@dataclass
class Platform:
    """An endpoint of ours: it writes down what it hears, and answers what it is told to."""

    address: str
    world_now: Callable[[], int]
    heard: list[Heard] = field(default_factory=list)
    answers: Callable[[Heard], int] = lambda _: 200

    def ids(self) -> list[str]:
        return [one.event["id"] for one in self.heard]


@pytest.fixture
async def platform(pretend: Pretend) -> AsyncIterator[Platform]:
    async def hear(request: web.Request) -> web.Response:
        one = Heard(request.path, await request.read(), request.headers["Stripe-Signature"], here.world_now())
        here.heard.append(one)
        return web.Response(status=here.answers(one))

    app = web.Application()
    app.router.add_post("/{any:.*}", hear)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    here = Platform(f"http://127.0.0.1:{runner.addresses[0][1]}", lambda: pretend.desk.world.now)
    yield here
    await runner.cleanup()


async def listen(pretend: Pretend, platform: Platform, path: str = "/", **more: object) -> stripe.WebhookEndpoint:
    asked: Any = {"url": f"{platform.address}{path}", "enabled_events": ["*"], **more}
    return await pretend.stripe.v1.webhook_endpoints.create_async(asked)


async def customer(pretend: Pretend) -> str:
    """Something happens: the id of its event."""
    await pretend.stripe.v1.customers.create_async({})
    return pretend.desk.world.happenings[-1].event_id


async def settled(pretend: Pretend) -> dict[str, int]:
    """The counts, once nothing is under way."""
    counts: dict[str, int] = {}

    async def nothing_under_way() -> bool:
        async with pretend.http.get("/_pretend/deliveries/summary") as answer:
            counts.update(await answer.json())
        return counts["under_way"] == 0

    await until(nothing_under_way, 10, every_seconds=0.001)
    return counts


async def deliveries(pretend: Pretend, **chosen: str) -> list[dict[str, Any]]:
    async with pretend.http.get("/_pretend/deliveries", params=chosen) as answer:
        assert answer.status == 200
        told: list[dict[str, Any]] = await answer.json()
        return told


async def disturb(pretend: Pretend, **disorder: float) -> None:
    async with pretend.http.post("/_pretend/disorder", json=disorder) as answer:
        assert answer.status == 200, await answer.text()


async def test_what_a_request_caused_is_delivered_at_once_and_the_library_believes_it(
    pretend: Pretend, platform: Platform
) -> None:
    endpoint = await listen(pretend, platform)
    event_id = await customer(pretend)
    await settled(pretend)

    (heard,) = platform.heard
    event = stripe.Webhook.construct_event(heard.body, heard.signature, endpoint.secret)
    assert (event.id, event.type) == (event_id, "customer.created")
    (tried,) = await deliveries(pretend)
    assert (tried["event_id"], tried["attempt"], tried["status"], tried["accepted"]) == (event_id, 1, 200, True)


@pytest.mark.parametrize("api_version", API_VERSIONS)
async def test_each_endpoint_gets_its_own_version_secret_and_choice(
    pretend: Pretend, platform: Platform, api_version: str
) -> None:
    endpoint = await listen(pretend, platform, "/one", api_version=api_version)
    await listen(pretend, platform, "/other", enabled_events=["product.created"])
    await customer(pretend)
    await settled(pretend)

    (heard,) = platform.heard
    assert (heard.path, heard.event["api_version"]) == ("/one", api_version)
    assert stripe.Webhook.construct_event(heard.body, heard.signature, endpoint.secret)


async def test_while_a_secret_is_rotated_every_delivery_holds_under_both(pretend: Pretend, platform: Platform) -> None:
    endpoint = await listen(pretend, platform)
    new = (await pretend.fate("webhook_endpoint", endpoint.id, "roll_secret"))["secret"]
    await customer(pretend)
    await settled(pretend)

    (heard,) = platform.heard
    for secret in (endpoint.secret, new):
        assert stripe.Webhook.construct_event(heard.body, heard.signature, secret)
    await pretend.advance(days=1)
    await customer(pretend)
    await settled(pretend)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(platform.heard[-1].body, platform.heard[-1].signature, endpoint.secret)


async def test_a_secret_that_the_platform_has_already_may_be_taken(pretend: Pretend, platform: Platform) -> None:
    endpoint = await listen(pretend, platform)
    await pretend.fate("webhook_endpoint", endpoint.id, "take_secret", secret="whsec_ours")
    await customer(pretend)
    await settled(pretend)

    assert stripe.Webhook.construct_event(platform.heard[0].body, platform.heard[0].signature, "whsec_ours")


async def test_a_thin_endpoint_is_told_where_to_look(pretend: Pretend, platform: Platform) -> None:
    endpoint = await listen(pretend, platform)
    await pretend.fate("webhook_endpoint", endpoint.id, "become_thin")
    await customer(pretend)
    await settled(pretend)

    (heard,) = platform.heard
    told = pretend.stripe.parse_event_notification(heard.body, heard.signature, endpoint.secret or "")
    assert (told.type, told.id) == ("v1.customer.created", thin_id(pretend.desk.world.happenings[-1]))
    assert "data" not in heard.event


async def test_what_is_refused_is_tried_for_three_days_by_the_worlds_clock_and_then_given_up(
    pretend: Pretend, platform: Platform
) -> None:
    await listen(pretend, platform)
    platform.answers = lambda _: 503
    began = pretend.desk.world.now
    event_id = await customer(pretend)
    await settled(pretend)
    await pretend.advance(seconds=TRIED_SECONDS)
    counts = await settled(pretend)

    whens = [one["at"] - began for one in await deliveries(pretend, event_id=event_id)]
    assert whens == [sum(RETRY_PAUSES_SECONDS[:tries]) for tries in range(len(RETRY_PAUSES_SECONDS) + 1)]
    assert whens[-1] <= TRIED_SECONDS
    assert platform.ids() == [event_id] * len(whens)
    assert (counts["given_up"], counts["waiting"]) == (1, 0)
    (listed,) = (await pretend.stripe.v1.events.list_async({"delivery_success": False})).data
    assert (listed.id, listed.pending_webhooks) == (event_id, 1)


async def test_what_is_accepted_late_is_delivered(pretend: Pretend, platform: Platform) -> None:
    await listen(pretend, platform)
    platform.answers = lambda _: 200 if len(platform.heard) == 3 else 500
    event_id = await customer(pretend)
    await settled(pretend)
    assert (await pretend.stripe.v1.events.list_async({"delivery_success": False})).data[0].id == event_id

    await pretend.advance(days=4)

    assert platform.ids() == [event_id] * 3
    assert (await pretend.stripe.v1.events.list_async({"delivery_success": False})).data == []


async def test_every_try_is_signed_anew(pretend: Pretend, platform: Platform) -> None:
    endpoint = await listen(pretend, platform)
    platform.answers = lambda _: 500
    await customer(pretend)
    await settled(pretend)
    rolled = (await pretend.fate("webhook_endpoint", endpoint.id, "roll_secret"))["secret"]
    await pretend.advance(seconds=RETRY_PAUSES_SECONDS[0])

    first, second = platform.heard
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(first.body, first.signature, rolled)
    assert stripe.Webhook.construct_event(second.body, second.signature, rolled)


async def test_nobody_there_is_a_failure_like_any_other(pretend: Pretend, platform: Platform) -> None:
    await listen(pretend, platform, url="http://127.0.0.1:9/nobody")
    await customer(pretend)
    await settled(pretend)

    (tried,) = await deliveries(pretend)
    assert (tried["status"], tried["error"]) == (None, "ClientConnectorError")


async def test_after_days_of_failures_the_endpoint_is_disabled_and_hears_nothing_more(
    pretend: Pretend, platform: Platform
) -> None:
    endpoint = await listen(pretend, platform)
    platform.answers = lambda _: 500
    for _ in range(8):
        await customer(pretend)
        await pretend.advance(days=1)
    shown = await pretend.stripe.v1.webhook_endpoints.retrieve_async(endpoint.id)
    assert shown.status == "disabled"

    count = len(platform.heard)
    await customer(pretend)
    await pretend.advance(days=4)
    assert len(platform.heard) == count
    assert (await settled(pretend))["waiting"] == 0


async def test_a_deleted_endpoint_hears_nothing_more(pretend: Pretend, platform: Platform) -> None:
    endpoint = await listen(pretend, platform)
    platform.answers = lambda _: 500
    await customer(pretend)
    await settled(pretend)
    await pretend.stripe.v1.webhook_endpoints.delete_async(endpoint.id)
    await pretend.advance(days=4)

    assert len(platform.heard) == 1


async def test_the_clock_waits_for_an_answer_when_it_is_an_hour_ahead_and_at_its_end(
    pretend: Pretend, platform: Platform
) -> None:
    """So a renewal is heard of before the invoice is an hour old, and nothing is under way when time stands still."""
    await listen(pretend, platform)
    world = pretend.desk.world
    someone = world.shelf.get("customer", (await pretend.stripe.v1.customers.create_async({})).id)
    for hour in range(1, 200):
        world.later(hour * HOUR_SECONDS // 4, lambda: someone.change(name=f"{world.now}"))
    late: list[int] = []
    platform.answers = lambda one: late.append(one.at - one.event["created"]) or 200  # type: ignore[func-returns-value]
    await pretend.advance(days=3)

    assert len(platform.heard) == 200
    assert max(late) <= HOUR_SECONDS
    assert (await deliveries(pretend))[-1]["accepted"]


async def lived(pretend: Pretend, platform: Platform, **disorder: float) -> list[str]:
    """A short life of ten subscribers, delivered in *disorder*: the ids in the order in which they came."""
    await listen(pretend, platform)
    await disturb(pretend, **disorder)
    story.let_arrive(pretend.desk.world, 10)
    await pretend.advance(days=60)
    await pretend.advance(seconds=int(disorder.get("shuffle_seconds", 0)))
    return platform.ids()


async def test_without_disorder_all_comes_once_and_in_its_second(pretend: Pretend, platform: Platform) -> None:
    ids = await lived(pretend, platform)
    counts = await settled(pretend)

    assert sorted(ids) == sorted(one.event_id for one in pretend.desk.world.happenings)
    assert counts["accepted"] == counts["events"] == len(ids)
    assert counts["waiting"] == counts["dropped"] == counts["copies"] == 0


async def test_what_is_dropped_never_comes_and_stripe_does_not_know(pretend: Pretend, platform: Platform) -> None:
    ids = await lived(pretend, platform, drop_share=0.2)
    counts = await settled(pretend)

    assert counts["dropped"] == counts["events"] - len(set(ids))
    assert 0.1 < counts["dropped"] / counts["events"] < 0.3
    assert (await pretend.stripe.v1.events.list_async({"delivery_success": False})).data == []


async def test_copies_and_overtaking_come_by_the_seed(pretend: Pretend, platform: Platform) -> None:
    ids = await lived(pretend, platform, duplicate_share=0.3, shuffle_seconds=2 * DAY_SECONDS)
    counts = await settled(pretend)

    told = [one.event_id for one in pretend.desk.world.happenings]
    again = [event_id for event_id, count in Counter(ids).items() if count == 2]
    assert set(told[: len(told) // 2]) <= set(ids) <= set(told)
    assert counts["copies"] >= len(again) > len(told) / 8
    place = {event_id: number for number, event_id in enumerate(told)}
    overtaken = sum(place[one] > place[other] for one, other in pairwise(ids))
    assert overtaken > len(ids) / 4
    disorder = Disorder(duplicate_share=0.3, shuffle_seconds=2 * DAY_SECONDS)
    dice = [Dice(f"{pretend.desk.world.seed}/webhooks/{event_id}") for event_id in again]
    assert all(len(list(disorder.delays(one))) == 2 for one in dice)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"drop_share": 2}, "drop_share is a share, from 0 to 1."),
        ({"duplicate_share": -0.1}, "duplicate_share is a share, from 0 to 1."),
        ({"shuffle_seconds": -1}, "shuffle_seconds is from 0 to 259200."),
        ({"speed": 1}, "speed"),
    ],
)
async def test_disorder_that_makes_no_sense_is_refused(pretend: Pretend, asked: dict[str, float], why: str) -> None:
    async with pretend.http.post("/_pretend/disorder", json=asked) as answer:
        assert answer.status == 400
        assert why in (await answer.json())["error"]


async def test_the_journal_goes_on_from_where_one_has_read(pretend: Pretend, platform: Platform) -> None:
    await listen(pretend, platform)
    ids = [await customer(pretend) for _ in range(3)]
    await settled(pretend)

    every = await deliveries(pretend)
    later = await deliveries(pretend, after=str(every[0]["number"]))
    assert sorted(one["event_id"] for one in every) == sorted(ids)
    assert later == every[1:]
    async with pretend.http.get("/_pretend/deliveries", params={"after": "x"}) as answer:
        assert answer.status == 400
