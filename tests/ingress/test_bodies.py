"""Bodies at the door: large, compressed, in chunks, and hostile."""

import asyncio
import gzip
import random
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from ops.local.providers import KafkaServer
from tests.ingress.support import (
    MIB,
    OTHER_SECRET,
    Door,
    counted,
    event,
    head_of,
    knock,
    mutated,
    post,
    published,
    ready,
    sign,
)


@pytest.mark.parametrize("size", [100_000, 256 * 1024, 512 * 1024])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_of_up_to_512_kib_passes(
    client: aiohttp.ClientSession, door: Door, events_topic: KafkaServer, size: int, chunked: bool
) -> None:
    body = event(f"evt_{size}_{chunked}", size)
    assert len(body) == size

    async with client.post(
        door.url, data=_chunks(body) if chunked else body, headers={"Stripe-Signature": sign(body)}
    ) as answer:
        assert answer.status == 200
    held = await published(events_topic.bootstrap_servers, door.keys, [f"evt_{size}_{chunked}"])
    assert held[f"evt_{size}_{chunked}"].body == body


@pytest.mark.parametrize("size", [512 * 1024 + 1, MIB, 20 * MIB])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_larger_body_is_refused_as_too_large(door: Door, size: int, chunked: bool) -> None:
    assert await _status(door, event("evt_large", size), chunked) == 413


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(door: Door) -> None:
    async with knock(door) as (reader, writer):
        writer.write(head_of(door, f"Stripe-Signature: {sign(b'')}", "Content-Length: 20971520"))

        assert b" 413 " in await asyncio.wait_for(reader.readline(), 5)


async def test_a_sender_who_waits_to_be_asked_is_asked(door: Door, client: aiohttp.ClientSession) -> None:
    await ready(client, door)
    body = event("evt_expect")
    async with client.post(door.url, data=body, headers={"Stripe-Signature": sign(body)}, expect100=True) as answer:
        assert answer.status == 200


async def test_giant_bodies_do_not_fill_memory(client: aiohttp.ClientSession, door: Door) -> None:
    await ready(client, door)
    assert await post(client, door, event("evt_before_giants", 512 * 1024)) == 200
    before = door.rss_bytes
    giant = b"x" * 20 * MIB

    answers = await asyncio.gather(*(_status(door, giant, chunked) for chunked in [True, False] * 10))

    assert set(answers) == {413}
    assert door.rss_bytes - before < 50 * MIB


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "x-unknown", "identity, gzip"])
@pytest.mark.parametrize("really", [False, True])
async def test_a_compressed_body_is_not_taken_whether_or_not_it_is_one(
    client: aiohttp.ClientSession, door: Door, encoding: str, really: bool
) -> None:
    body = gzip.compress(event("evt_gzip")) if really else event("evt_gzip")

    headers = {"Content-Encoding": encoding, "Stripe-Signature": sign(body)}
    async with client.post(door.url, data=body, headers=headers) as answer:
        assert answer.status == 415


def _hostile() -> Iterator[tuple[bytes, set[int]]]:
    """Bodies and the answers that each may have when it is signed; the seed makes them the same every time."""
    chance = random.Random(20260101)
    digits = b"9" * 5_000
    odd_values = [
        *[b"NaN", b"-Infinity", b"1e99999", digits, b"-" + digits, b"1." + digits, b'"\\ud800"', b'"\\u0000"'],
        *[b"null", b"true", b"[]", b"{}", b'""', b'"' + b"x" * 300 + b'"', b'"a b"', b'"\xc3\xa9"', b'"\\n"'],
        *[b"[" * depth + b"]" * depth for depth in (10, 199, 201, 500)],
        *[b"-0", b"0.1", b'{"id": {"id": {"id": []}}}', b'{"object": {"metadata": [], "customer": {"id": 7}}}'],
    ]
    for number, value in enumerate(odd_values):
        for field in (b"created", b"api_version", b"account", b"data", b"request", b"pending_webhooks", b"object"):
            yield b'{"id": "evt_h%d", "type": "a.b", "%s": %s}' % (number, field, value), {200}
            yield b'{"%s": %s, "id": "evt_h%d", "%s": 1, "type": "a.b"}' % (field, value, number, field), {200}
        for field, other in ((b"id", b"type"), (b"type", b"id")):
            yield b'{"%s": %s, "%s": "evt_1"}' % (field, value, other), {400}
    for body in (b"", b" ", b"[]", b"null", b"{}", b"\0", b"\xff" * 99, b"[" * 99_999, b'{"id"', digits, b'"x"'):
        yield body, {400}
    for number in range(200):
        yield mutated(event(f"evt_m{number}"), chance), {200, 400}


async def test_no_hostile_body_is_ever_our_fault_signed_or_not(client: aiohttp.ClientSession, door: Door) -> None:
    await ready(client, door)
    cases = list(_hostile())
    assert len(cases) >= 500
    for body, expected in cases:
        assert await post(client, door, body) in expected, body[:200]
        assert await post(client, door, body, sign(body, OTHER_SECRET)) == 400, body[:200]
        assert await post(client, door, body, "") == 400, body[:200]
    assert await counted(client, door, 'ingress_requests_total{outcome="our_bug"}') == 0


async def test_a_broken_chunk_is_refused(door: Door) -> None:
    async with knock(door) as (reader, writer):
        writer.write(head_of(door, f"Stripe-Signature: {sign(b'')}", "Transfer-Encoding: chunked") + b"zz\r\nabc")

        assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)


async def _status(door: Door, body: bytes, chunked: bool) -> int:
    """What *body* is answered with, by a sender who listens while it sends."""
    signature = f"Stripe-Signature: {sign(body)}"
    async with knock(door) as (reader, writer):
        if chunked:
            writer.write(head_of(door, signature, "Transfer-Encoding: chunked"))
            writer.writelines(b"%x\r\n%s\r\n" % (len(part), part) for part in _parts(body))
            writer.write(b"0\r\n\r\n")
        else:
            writer.write(head_of(door, signature, f"Content-Length: {len(body)}") + body)
        return int((await asyncio.wait_for(reader.readline(), 20)).split(b" ")[1])


def _parts(body: bytes) -> list[bytes]:
    return [body[at : at + 60_000] for at in range(0, len(body), 60_000)]


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for part in _parts(body):
        yield part
