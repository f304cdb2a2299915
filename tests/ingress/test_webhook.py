"""The door as a whole: its process, its port, the topic behind it."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from ops.local.kafka import LocalKafka
from ops.local.providers import KafkaServer
from runtime.keys import Keyring
from tests.ingress.support import (
    OTHER_SECRET,
    SECRET,
    Door,
    event,
    post,
    provision,
    published,
    ready,
    sign,
)

MIB = 1024 * 1024


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
    assert await _counted(client, door, 'ingress_requests_total{outcome="other_mode"}') >= 1


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


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
async def test_only_post_is_heard(client: aiohttp.ClientSession, door: Door, method: str) -> None:
    async with client.request(method, door.url, headers={"Stripe-Signature": sign(b"")}) as answer:
        assert answer.status in ({400, 405} if method == "BREW" else {405})


@pytest.mark.parametrize("path", ["/", "/webhooks", "/webhooks/stripe/", "/webhooks/stripe/../x", "/.env", "/%00"])
async def test_there_is_nothing_anywhere_else(client: aiohttp.ClientSession, door: Door, path: str) -> None:
    async with client.post(f"http://127.0.0.1:{door.port}{path}", data=b"{}") as answer:
        assert answer.status == 404


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
    async with _knock(door) as (reader, writer):
        writer.write(_head(door, f"Stripe-Signature: {sign(b'')}", "Content-Length: 20971520"))

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
    import gzip

    body = gzip.compress(event("evt_gzip")) if really else event("evt_gzip")

    headers = {"Content-Encoding": encoding, "Stripe-Signature": sign(body)}
    async with client.post(door.url, data=body, headers=headers) as answer:
        assert answer.status == 415


# Hostile bodies.


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
        mutated = bytearray(event(f"evt_m{number}"))
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(mutated))
            mutated[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        yield bytes(mutated), {200, 400}


async def test_no_hostile_body_is_ever_our_fault_signed_or_not(client: aiohttp.ClientSession, door: Door) -> None:
    await ready(client, door)
    cases = list(_hostile())
    assert len(cases) >= 500
    for body, expected in cases:
        assert await post(client, door, body) in expected, body[:200]
        assert await post(client, door, body, sign(body, OTHER_SECRET)) == 400, body[:200]
        assert await post(client, door, body, "") == 400, body[:200]
    assert await _counted(client, door, 'ingress_requests_total{outcome="our_bug"}') == 0


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /webhooks/stripe HTTP/9.9\r\n\r\n",
        b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /webhooks/stripe HTTP/1.1\r\nHost:x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
        b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 1_000 + b"\r\n",
        b"POST /" + b"y" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"POST http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_refused_without_a_word(door: Door, request_bytes: bytes) -> None:
    async with _knock(door) as (reader, writer):
        writer.write(request_bytes)
        head, _, rest = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")

    assert head.split(b" ")[1] in {b"400", b"404", b"405", b"413", b"431"}
    assert rest == b""
    assert b"ython" not in head


async def test_a_broken_chunk_is_refused(door: Door) -> None:
    async with _knock(door) as (reader, writer):
        writer.write(_head(door, f"Stripe-Signature: {sign(b'')}", "Transfer-Encoding: chunked") + b"zz\r\nabc")

        assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)


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
    assert canary not in await _metrics(client, door)


# Slow senders.


async def _drip(door: Door, start: bytes, drop: bytes, seconds_max: float) -> bytes:
    """What the door says to a sender of one byte every 50 ms, until it hangs up."""
    async with _knock(door) as (reader, writer):
        writer.write(start)
        deadline, heard = time.monotonic() + seconds_max, b""
        while time.monotonic() < deadline:
            try:
                piece = await asyncio.wait_for(reader.read(4096), 0.05)
            except TimeoutError:
                writer.write(drop)
                continue
            except ConnectionResetError:
                return heard
            if not piece:
                return heard
            heard += piece
    pytest.fail(f"still connected after {seconds_max} s")


async def test_who_sends_headers_a_byte_at_a_time_is_hung_up_on(own_door: Callable[..., Door]) -> None:
    door = own_door(HEADERS_SECONDS_MAX="0.5")

    heard = await asyncio.gather(
        *(_drip(door, start, b"x", 5) for start in (b"POST /", _head(door, end="")[:-2], b"\r\nPOST /"))
    )

    assert heard == [b"", b"", b""]


async def test_who_sends_a_second_requests_headers_slowly_is_hung_up_on_too(own_door: Callable[..., Door]) -> None:
    door = own_door(HEADERS_SECONDS_MAX="0.5")

    heard = await _drip(door, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /", b"x", 5)

    assert heard.startswith(b"HTTP/1.1 200")
    assert heard.count(b"HTTP/1.1") == 1


async def test_who_sends_a_body_a_byte_at_a_time_is_told_so(own_door: Callable[..., Door]) -> None:
    door = own_door(BODY_SECONDS_MAX="0.5")

    heard = await _drip(door, _head(door, f"Stripe-Signature: {sign(b'')}", "Content-Length: 5000"), b"x", 8)

    assert heard.startswith(b"HTTP/1.1 408")


async def test_who_never_takes_the_answers_is_hung_up_on(own_door: Callable[..., Door]) -> None:
    door = own_door(ANSWER_SECONDS_MAX="0.5")
    before = door.rss_bytes
    async with _knock(door) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio's transports can.

        async def ask_for_ever() -> None:
            while True:
                writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(ask_for_ever(), 20)
    assert door.rss_bytes - before < 20 * MIB


async def test_beyond_the_connections_that_were_meant_the_next_is_closed_and_a_free_place_is_given_again(
    own_door: Callable[..., Door], client: aiohttp.ClientSession
) -> None:
    door = own_door(CONNECTIONS_MAX="3")
    async with AsyncExitStack() as held:
        for _ in range(3):
            reader, writer = await held.enter_async_context(_knock(door))
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" in await reader.readline()

        async with _knock(door) as (reader, _):
            assert await _end(reader) == b""

    await ready(client, door)


async def test_many_slow_senders_do_not_keep_an_honest_one_waiting(
    own_door: Callable[..., Door], client: aiohttp.ClientSession
) -> None:
    door = own_door(HEADERS_SECONDS_MAX="5")
    await ready(client, door)
    async with AsyncExitStack() as slow:
        for _ in range(200):
            _, writer = await slow.enter_async_context(_knock(door))
            writer.write(b"POST /webhooks/stripe HTTP/1.1\r\nX: ")

        began = time.monotonic()
        assert await post(client, door, event("evt_honest")) == 200
        assert time.monotonic() - began < 1


async def test_all_bodies_in_hand_are_bounded(own_door: Callable[..., Door], client: aiohttp.ClientSession) -> None:
    door = own_door(BODIES_BYTES_MAX=str(MIB))
    await ready(client, door)
    head = _head(door, f"Stripe-Signature: {sign(b'')}", "Content-Length: 500000")
    async with AsyncExitStack() as held, asyncio.TaskGroup() as listening:
        answers = []
        for _ in range(3):
            reader, writer = await held.enter_async_context(_knock(door))
            writer.write(head + b"x" * 450_000)
            answers.append(listening.create_task(reader.readline()))

        done, waiting = await asyncio.wait(answers, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()

    assert [b" 503 " in task.result() for task in done] == [True]


# Kafka comes and goes, and so do we.


@pytest.fixture
async def own_kafka(tmp_path: Path) -> AsyncIterator[LocalKafka]:
    """A broker that the test may kill."""
    server = LocalKafka(tmp_path / "kafka")
    await server.start()
    await provision(server.bootstrap_servers)
    yield server
    await server.stop()
    server.remove()


async def test_nothing_is_acknowledged_while_the_broker_is_away_and_all_is_well_when_it_is_back(
    own_door: Callable[..., Door], own_kafka: LocalKafka, client: aiohttp.ClientSession
) -> None:
    door = own_door(bootstrap_servers=own_kafka.bootstrap_servers)
    await ready(client, door)
    assert await post(client, door, event("evt_before")) == 200

    await own_kafka.kill()
    began = time.monotonic()
    async with client.post(
        door.url, data=event("evt_during"), headers={"Stripe-Signature": sign(event("evt_during"))}
    ) as answer:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
    assert time.monotonic() - began < 4
    during = await asyncio.gather(*(post(client, door, event(f"evt_during_{n}", 100_000)) for n in range(50)))
    assert set(during) == {503}
    async with client.get(f"http://127.0.0.1:{door.port}/livez") as answer:
        assert answer.status == 200
    async with client.get(f"http://127.0.0.1:{door.port}/readyz") as answer:
        assert answer.status == 503

    await own_kafka.restart()
    await _until(lambda: post(client, door, event("evt_after")), 200, seconds_max=15)

    held = await published(own_kafka.bootstrap_servers, door.keys, ["evt_before", "evt_after"])
    assert len(held) == 2
    assert door.close() == [0]


async def test_the_door_opens_before_kafka_does_and_finds_it_later(
    own_door: Callable[..., Door], tmp_path: Path, client: aiohttp.ClientSession
) -> None:
    server = LocalKafka(tmp_path / "kafka")
    door = own_door(bootstrap_servers=server.bootstrap_servers)
    assert await post(client, door, event("evt_early")) == 503

    await server.start()
    try:
        await provision(server.bootstrap_servers)
        await _until(lambda: post(client, door, event("evt_found")), 200, seconds_max=15)
        await ready(client, door)
        assert door.close() == [0]
    finally:
        await server.stop()
        server.remove()


async def test_a_broker_that_hangs_is_no_reason_to_hang(
    own_door: Callable[..., Door], own_kafka: LocalKafka, client: aiohttp.ClientSession
) -> None:
    door = own_door(bootstrap_servers=own_kafka.bootstrap_servers)
    await ready(client, door)
    os.kill(own_kafka.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert await post(client, door, event("evt_hung")) == 503
        assert time.monotonic() - began < 3
    finally:
        os.kill(own_kafka.pid, signal.SIGCONT)
    await _until(lambda: post(client, door, event("evt_awake")), 200, seconds_max=15)
    assert door.close() == [0]


async def test_several_processes_share_the_port_and_one_may_die(
    own_door: Callable[..., Door], client: aiohttp.ClientSession, events_topic: KafkaServer
) -> None:
    door = own_door(processes=2)
    await ready(client, door)
    fresh = {"headers": {"Connection": "close"}}  # Each request by a connection of its own: the kernel spreads them.

    assert await _all(post(client, door, event(f"evt_two_{n}"), **fresh) for n in range(50)) == {200}
    ticks = [_cpu_ticks(process.pid) for process in door.processes]
    door.processes[0].kill()
    door.processes[0].wait()
    after = [await post(client, door, event(f"evt_one_{n}"), **fresh) for n in range(50)]

    assert set(after) == {200}
    assert all(ticks)
    names = [f"evt_two_{n}" for n in range(50)] + [f"evt_one_{n}" for n in range(50)]
    assert len(await published(events_topic.bootstrap_servers, door.keys, names)) == 100


async def test_sigterm_finishes_what_is_in_hand_and_takes_no_more(
    own_door: Callable[..., Door], client: aiohttp.ClientSession
) -> None:
    door = own_door()
    await ready(client, door)
    body = event("evt_in_hand")
    head = _head(door, f"Stripe-Signature: {sign(body)}", f"Content-Length: {len(body)}", "Expect: 100-continue")
    async with _knock(door) as (reader, writer):
        writer.write(head)
        assert b"100" in await reader.readline()  # So the request is in hand.
        await reader.readline()

        door.processes[0].send_signal(signal.SIGTERM)
        await _until(lambda: _said(door, "the door closes"), True, seconds_max=5)
        writer.write(body)

        assert b" 200 " in await reader.readline()
    assert door.processes[0].wait(10) == 0
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", door.port)


@pytest.mark.parametrize("failpoint", ["after_verify", "after_produce_ack"])
async def test_killed_before_the_answer_the_door_hears_the_event_again_and_it_is_there(
    own_door: Callable[..., Door],
    tmp_path: Path,
    events_topic: KafkaServer,
    client: aiohttp.ClientSession,
    failpoint: str,
) -> None:
    (tmp_path / "failpoints").mkdir()
    (tmp_path / "failpoints" / failpoint).write_text(f"evt_{failpoint}")
    settings = {"FAILPOINTS_DIR": str(tmp_path / "failpoints")}
    door = own_door(**settings)
    await ready(client, door)
    assert await post(client, door, event("evt_another")) == 200

    with pytest.raises(aiohttp.ClientConnectionError):
        await post(client, door, event(f"evt_{failpoint}"))
    assert door.processes[0].wait(5) == -signal.SIGKILL

    again = own_door(**settings)
    await ready(client, again)
    assert await post(client, again, event(f"evt_{failpoint}")) == 200
    await published(events_topic.bootstrap_servers, again.keys, [f"evt_{failpoint}"])
    assert again.close() == [0]


async def test_keys_may_be_rotated_while_the_door_is_open(
    own_door: Callable[..., Door], client: aiohttp.ClientSession, events_topic: KafkaServer
) -> None:
    door = own_door()
    await ready(client, door)
    assert await post(client, door, event("evt_old_key")) == 200
    Keyring.rotate(door.keys, datetime.now(UTC), keep=timedelta(days=7))
    assert await post(client, door, event("evt_new_key")) == 200

    held = await published(events_topic.bootstrap_servers, door.keys, ["evt_old_key", "evt_new_key"])
    assert held["evt_old_key"].envelope.key_id != held["evt_new_key"].envelope.key_id


async def test_metrics_are_not_on_a_door_that_has_a_port_for_them(
    own_door: Callable[..., Door], client: aiohttp.ClientSession, free_port: Callable[[], int]
) -> None:
    aside = free_port()
    door = own_door(METRICS_PORT=str(aside))

    async with client.get(f"http://127.0.0.1:{door.port}/metrics") as answer:
        assert answer.status == 404
    async with client.get(f"http://127.0.0.1:{aside}/metrics") as answer:
        assert "ingress_requests_total" in await answer.text()


# Helpers.


@asynccontextmanager
async def _knock(door: Door) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection, gone at the end whatever happened."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def _status(door: Door, body: bytes, chunked: bool) -> int:
    """What *body* is answered with, by a sender who listens while it sends."""
    signature = f"Stripe-Signature: {sign(body)}"
    async with _knock(door) as (reader, writer):
        if chunked:
            writer.write(_head(door, signature, "Transfer-Encoding: chunked"))
            writer.writelines(b"%x\r\n%s\r\n" % (len(part), part) for part in _parts(body))
            writer.write(b"0\r\n\r\n")
        else:
            writer.write(_head(door, signature, f"Content-Length: {len(body)}") + body)
        return int((await asyncio.wait_for(reader.readline(), 20)).split(b" ")[1])


def _parts(body: bytes) -> list[bytes]:
    return [body[at : at + 60_000] for at in range(0, len(body), 60_000)]


def _head(door: Door, *lines: str, end: str = "\r\n") -> bytes:
    said = ["POST /webhooks/stripe HTTP/1.1", f"Host: 127.0.0.1:{door.port}", *lines]
    return ("\r\n".join(said) + "\r\n" + end).encode()


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for part in _parts(body):
        yield part


async def _metrics(client: aiohttp.ClientSession, door: Door) -> str:
    async with client.get(f"http://127.0.0.1:{door.port}/metrics") as answer:
        return await answer.text()


async def _counted(client: aiohttp.ClientSession, door: Door, series: str) -> float:
    lines = (await _metrics(client, door)).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series))


async def _until(ask: Callable[[], "asyncio.Future[object]"], wanted: object, seconds_max: float) -> None:
    deadline = time.monotonic() + seconds_max
    while (got := await ask()) != wanted:
        assert time.monotonic() < deadline, f"still {got}"


async def _said(door: Door, words: str) -> bool:
    return words in door.log.read_text()


async def _end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return b""


async def _all(posts: Iterator["asyncio.Future[int]"]) -> set[int]:
    return set(await asyncio.gather(*posts))


def _cpu_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])
