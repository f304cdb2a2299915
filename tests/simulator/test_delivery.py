import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import stripe
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.delivery import Delivery, Disorder, Endpoint, Pace, Sender, arrange
from simulator.dice import Dice
from simulator.signing import signature_header

SECRET = "whsec_simulated"
QUICK = Pace(pause_seconds=0.01, pause_seconds_max=0.02, timeout_seconds=2.0)
FACTS = [Delivery(f"evt_{number}", f'{{"id": "evt_{number}", "name": "Zoë"}}'.encode()) for number in range(200)]
PLACES = {one: place for place, one in enumerate(FACTS)}

Answer = Callable[[web.Request, bytes], Awaitable[web.Response]]
Door = Callable[[Answer], Awaitable[str]]


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """Opens a real HTTP server that answers as told, and gives its address."""
    servers: list[TestServer] = []

    async def open_door(answer: Answer) -> str:
        async def handle(request: web.Request) -> web.Response:
            return await answer(request, await request.read())

        app = web.Application()
        app.router.add_post("/", handle)
        servers.append(TestServer(app))
        await servers[-1].start_server()
        return str(servers[-1].make_url("/"))

    yield open_door
    for server in servers:
        await server.close()


def is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


@settings(deadline=None)
@given(st.binary(max_size=200).filter(is_text), st.lists(st.text("abc123", min_size=1), min_size=1))
def test_stripes_own_library_accepts_the_signature_of_every_secret(body: bytes, secrets: list[str]) -> None:
    header = signature_header(body, secrets, int(time.time()))

    for secret in secrets:
        assert stripe.WebhookSignature.verify_header(body, header, secret, tolerance=300)


def test_stripes_own_library_refuses_the_signature_of_another_secret() -> None:
    header = signature_header(b"{}", ["whsec_other"], int(time.time()))

    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(b"{}", header, SECRET, tolerance=300)


async def test_a_refused_event_is_sent_again_and_signed_anew(door: Door) -> None:
    signatures: list[str] = []
    seconds = iter((1_700_000_000.0, 1_700_000_000.5, 1_700_000_007.0, 1_700_000_007.5))

    async def answer(request: web.Request, body: bytes) -> web.Response:
        signatures.append(request.headers["Stripe-Signature"])
        stripe.WebhookSignature.verify_header(body, signatures[-1], SECRET)
        return web.Response(status=503 if len(signatures) == 1 else 200)

    sender = Sender(Endpoint(await door(answer), (SECRET,)), lambda: next(seconds), QUICK)
    journal = await sender.send(FACTS[:1])

    assert [signature.split(",")[0] for signature in signatures] == ["t=1700000000", "t=1700000007"]
    assert signatures[0].split(",")[1] != signatures[1].split(",")[1]
    assert [(one.attempt, one.status) for one in journal.tries] == [(1, 503), (2, 200)]
    assert journal.first_accepted == {"evt_0": 1_700_000_007.5}


async def test_an_event_that_nobody_answers_is_sent_again(door: Door) -> None:
    tries = Counter[bytes]()

    async def answer(_: web.Request, body: bytes) -> web.Response:
        tries[body] += 1
        if tries[body] == 1:
            await asyncio.sleep(30)
        return web.Response()

    pace = Pace(pause_seconds=0.01, timeout_seconds=0.2)
    journal = await Sender(Endpoint(await door(answer), (SECRET,)), time.time, pace).send(FACTS[:2])

    assert [one.error for one in journal.tries if one.attempt == 1] == ["TimeoutError", "TimeoutError"]
    assert set(journal.first_accepted) == {"evt_0", "evt_1"}


async def test_a_door_that_never_opens_is_given_up_and_said_so(door: Door) -> None:
    async def answer(*_: object) -> web.Response:
        return web.Response(status=400)

    pace = Pace(pause_seconds=0.001, pause_seconds_max=0.001, retry_count_max=3)
    journal = await Sender(Endpoint(await door(answer), (SECRET,)), time.time, pace).send(FACTS[:1])

    assert journal.given_up == ["evt_0"]
    assert len(journal.tries) == 4
    assert not journal.first_accepted


async def test_every_delivery_arrives_and_no_more_of_them_at_once_than_allowed(door: Door) -> None:
    open_now, open_most, arrived = 0, 0, Counter[bytes]()

    async def answer(_: web.Request, body: bytes) -> web.Response:
        nonlocal open_now, open_most
        open_now += 1
        open_most = max(open_most, open_now)
        await asyncio.sleep(0.002)
        open_now -= 1
        arrived[body] += 1
        return web.Response()

    pace = Pace(concurrency_max=5)
    journal = await Sender(Endpoint(await door(answer), (SECRET,)), time.time, pace).send(FACTS)

    assert arrived == Counter(one.body for one in FACTS)
    assert 1 < open_most <= 5
    assert journal.accepted_count == len(FACTS)


async def test_an_open_loop_keeps_its_rate_however_slow_the_answers_are(door: Door) -> None:
    begun: list[float] = []

    async def answer(*_: object) -> web.Response:
        begun.append(time.monotonic())
        await asyncio.sleep(0.5)
        return web.Response()

    pace = Pace(rate_per_second=100, concurrency_max=None)
    await Sender(Endpoint(await door(answer), (SECRET,)), time.time, pace).send(FACTS[:30])

    assert 0.25 < begun[-1] - begun[0] < 2.0, "one after the other they would have taken fifteen seconds"


def test_order_is_kept_where_no_disorder_is_asked_for() -> None:
    assert arrange(FACTS, Disorder(), Dice(1)) == FACTS


@settings(deadline=None)
@given(st.integers(), st.integers(1, 50))
def test_within_a_window_an_event_is_overtaken_only_by_its_neighbours(seed: int, window: int) -> None:
    arranged = arrange(FACTS, Disorder(window=window), Dice(seed))

    assert sorted(arranged, key=PLACES.__getitem__) == FACTS
    assert all(abs(place - PLACES[one]) <= window for place, one in enumerate(arranged))


@settings(deadline=None)
@given(st.integers())
def test_a_whole_shuffle_loses_nothing(seed: int) -> None:
    arranged = arrange(FACTS, Disorder(window=None), Dice(seed))

    assert arranged != FACTS
    assert Counter(arranged) == Counter(FACTS)


@settings(deadline=None)
@given(st.integers())
def test_some_are_sent_twice_and_some_never(seed: int) -> None:
    arranged = Counter(arrange(FACTS, Disorder(duplicate_share=0.3, drop_share=0.2, window=10), Dice(seed)))

    assert {1, 2} == set(arranged.values())
    assert 0 < len(FACTS) - len(arranged) < 100


def test_one_seed_arranges_the_same_disorder() -> None:
    disorder = Disorder(duplicate_share=0.1, drop_share=0.1, window=None)

    assert arrange(FACTS, disorder, Dice(8)) == arrange(FACTS, disorder, Dice(8))
