"""The door as a whole: whom it believes, what it takes, and what it says of it."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from ops.local.providers import KafkaServer
from runtime.keys import Keyring
from tests.ingress.support import (
    OTHER_SECRET,
    SECRET,
    Door,
    counted,
    event,
    head_of,
    knock,
    metrics,
    post,
    published,
    ready,
    sign,
)
from tests.ingress.support_headers import GOOD_OVER_HTTP, hostile_headers


async def test_the_topic_holds_exactly_the_bytes_that_were_signed_and_none_of_them_in_the_clear(
    client: aiohttp.ClientSession, door: Door, events_topic: KafkaServer
) -> None:
    body = event("evt_exact").replace(b": ", b" :\t") + b"\n "

    assert await post(client, door, body) == 200

    (record,) = (await published(events_topic.bootstrap_servers, door.keys, ["evt_exact"])).values()
    assert record.body == body
    assert b"sub_1" not in record.sealed
    assert record.key == b"cus_1"
    assert record.envelope.subject == "sub_1"
    assert abs(record.envelope.received_at - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("unknown_type", {"type": "quantum.entangled"}),
        ("old_version", {"api_version": "2017-12-14"}),
        ("next_version", {"api_version": "2031-01-01.zeppelin"}),
        ("no_version", {"api_version": None}),
        ("thin", {"object": "v2.core.event", "created": "2026-01-01T00:00:00Z", "data": None}),
        ("connect", {"account": "acct_1"}),
    ],
)
async def test_whatever_stripe_signed_is_accepted_and_published(
    client: aiohttp.ClientSession, door: Door, events_topic: KafkaServer, kind: str, fields: dict[str, object]
) -> None:
    body = event(f"evt_{kind}", **fields)

    assert await post(client, door, body) == 200
    assert (await published(events_topic.bootstrap_servers, door.keys, [f"evt_{kind}"]))[f"evt_{kind}"].body == body


async def test_the_other_mode_is_refused(client: aiohttp.ClientSession, door: Door) -> None:
    assert await post(client, door, event("evt_live", livemode=True)) == 400
    assert await counted(client, door, 'ingress_requests_total{outcome="other_mode"}') >= 1


async def test_a_live_door_refuses_what_is_only_a_test(
    client: aiohttp.ClientSession, own_door: Callable[..., Door]
) -> None:
    door = own_door(BILLING_ENVIRONMENT="production", STRIPE_LIVEMODE="true")
    await ready(client, door)

    assert await post(client, door, event("evt_live_real", livemode=True)) == 200
    assert await post(client, door, event("evt_live_fake", livemode=False)) == 400


@pytest.mark.parametrize(("age_seconds", "status"), [(295, 200), (303, 400), (-295, 200), (-303, 400)])
async def test_a_captured_request_is_good_for_five_minutes(
    client: aiohttp.ClientSession, door: Door, age_seconds: int, status: int
) -> None:
    body = event(f"evt_aged_{age_seconds}")

    assert await post(client, door, body, sign(body, at=time.time() - age_seconds)) == status


async def test_while_a_secret_is_rotated_no_event_is_refused_and_afterwards_the_old_one_is(
    client: aiohttp.ClientSession, own_door: Callable[..., Door]
) -> None:
    body = event("evt_rotated")
    both = f"{sign(body)},{sign(body, OTHER_SECRET).partition(',')[2]}"
    during = own_door(STRIPE_WEBHOOK_SECRETS=f"{OTHER_SECRET},{SECRET}")
    after = own_door(STRIPE_WEBHOOK_SECRETS=OTHER_SECRET)
    await ready(client, during)
    await ready(client, after)

    assert [await post(client, during, body, by) for by in (sign(body), sign(body, OTHER_SECRET), both)] == [200] * 3
    assert [await post(client, after, body, by) for by in (sign(body), sign(body, OTHER_SECRET), both)] == [
        400,
        200,
        200,
    ]


async def test_no_hostile_header_is_believed_or_our_fault_over_a_connection(
    client: aiohttp.ClientSession, door: Door
) -> None:
    await ready(client, door)
    body = event("evt_hostile_header")
    headers = hostile_headers(body, int(time.time()))
    assert headers.keys() > GOOD_OVER_HTTP

    for what, header in headers.items():
        expected = {200} if what in GOOD_OVER_HTTP else {400, 431}
        assert await _answer(door, body, header) in expected, what
    assert await counted(client, door, 'ingress_requests_total{outcome="our_bug"}') == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
async def test_only_post_is_heard(client: aiohttp.ClientSession, door: Door, method: str) -> None:
    async with client.request(method, door.url, headers={"Stripe-Signature": sign(b"")}) as answer:
        assert answer.status in ({400, 405} if method == "BREW" else {405})


@pytest.mark.parametrize("path", ["/", "/webhooks", "/webhooks/stripe/", "/webhooks/stripe/../x", "/.env", "/%00"])
async def test_there_is_nothing_anywhere_else(client: aiohttp.ClientSession, door: Door, path: str) -> None:
    async with client.post(f"http://127.0.0.1:{door.port}{path}", data=b"{}") as answer:
        assert answer.status == 404


async def test_neither_bodies_nor_secrets_are_in_the_log(client: aiohttp.ClientSession, door: Door) -> None:
    canary = "canary4242424242424242"
    await post(client, door, event("evt_canary", note=canary))
    await post(client, door, event("evt_canary", note=canary), f"t=1,v1={canary}")
    await post(client, door, b'{"id": "' + canary.encode() + b'"')
    async with client.post(door.url + "?" + canary, data=b"{}", headers={"Authorization": canary}) as answer:
        assert answer.status == 400

    log = door.log.read_text()
    assert "the door is open" in log
    assert canary not in log
    assert SECRET.removeprefix("whsec_") not in log
    assert canary not in await metrics(client, door)


async def test_keys_may_be_rotated_while_the_door_is_open(
    own_door: Callable[..., Door], client: aiohttp.ClientSession, events_topic: KafkaServer
) -> None:
    door = own_door()
    await ready(client, door)

    async def key_that_seals(event_id: str) -> str:
        assert await post(client, door, event(event_id)) == 200
        held = await published(events_topic.bootstrap_servers, door.keys, [event_id])
        return held[event_id].key_id

    before = await key_that_seals("evt_0")
    Keyring.rotate(door.keys, datetime.now(UTC), keep=timedelta(days=7))
    async with asyncio.timeout(10):
        number = 1
        while await key_that_seals(f"evt_{number}") == before:
            number += 1


async def test_metrics_are_not_on_a_door_that_has_a_port_for_them(
    own_door: Callable[..., Door], client: aiohttp.ClientSession, free_port: Callable[[], int]
) -> None:
    aside = free_port()
    door = own_door(METRICS_PORT=str(aside))

    async with client.get(f"http://127.0.0.1:{door.port}/metrics") as answer:
        assert answer.status == 404
    async with client.get(f"http://127.0.0.1:{aside}/metrics") as answer:
        assert "ingress_requests_total" in await answer.text()


async def _answer(door: Door, body: bytes, header: str | None) -> int:
    """What a request with this very header is answered with, whatever bytes are in it."""
    named = b"" if header is None else b"Stripe-Signature: " + header.encode("utf-8", "surrogateescape") + b"\r\n"
    async with knock(door) as (reader, writer):
        writer.write(head_of(door, f"Content-Length: {len(body)}", end="") + named + b"\r\n" + body)
        return int((await asyncio.wait_for(reader.readline(), 10)).split(b" ")[1])
