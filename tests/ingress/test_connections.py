"""Connections at the door: slow, many, no HTTP, and cut off by the end of a process."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from ops.local.providers import KafkaServer
from tests.ingress.support import MIB, Door, event, head_of, knock, post, published, ready, sign, until


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
    async with knock(door) as (reader, writer):
        writer.write(request_bytes)
        head, _, rest = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")

    assert head.split(b" ")[1] in {b"400", b"404", b"405", b"413", b"431"}
    assert rest == b""
    assert b"ython" not in head


async def _drip(door: Door, start: bytes, drop: bytes, seconds_max: float) -> bytes:
    """What the door says to a sender of one byte every 50 ms, until it hangs up."""
    async with knock(door) as (reader, writer):
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
        *(_drip(door, start, b"x", 5) for start in (b"POST /", head_of(door, end="")[:-2], b"\r\nPOST /"))
    )

    assert heard == [b"", b"", b""]


async def test_who_sends_a_second_requests_headers_slowly_is_hung_up_on_too(own_door: Callable[..., Door]) -> None:
    door = own_door(HEADERS_SECONDS_MAX="0.5")

    heard = await _drip(door, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /", b"x", 5)

    assert heard.startswith(b"HTTP/1.1 200")
    assert heard.count(b"HTTP/1.1") == 1


async def test_who_sends_a_body_a_byte_at_a_time_is_told_so(own_door: Callable[..., Door]) -> None:
    door = own_door(BODY_SECONDS_MAX="0.5")

    heard = await _drip(door, head_of(door, f"Stripe-Signature: {sign(b'')}", "Content-Length: 5000"), b"x", 8)

    assert heard.startswith(b"HTTP/1.1 408")


async def test_who_never_takes_the_answers_is_hung_up_on(own_door: Callable[..., Door]) -> None:
    door = own_door(ANSWER_SECONDS_MAX="0.5")
    before = door.rss_bytes
    async with knock(door) as (_, writer):
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
            reader, writer = await held.enter_async_context(knock(door))
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" in await reader.readline()

        async with knock(door) as (reader, _):
            assert await _end(reader) == b""

    await ready(client, door)


async def test_many_slow_senders_do_not_keep_an_honest_one_waiting(
    own_door: Callable[..., Door], client: aiohttp.ClientSession
) -> None:
    door = own_door(HEADERS_SECONDS_MAX="5")
    await ready(client, door)
    async with AsyncExitStack() as slow:
        for _ in range(200):
            _, writer = await slow.enter_async_context(knock(door))
            writer.write(b"POST /webhooks/stripe HTTP/1.1\r\nX: ")

        began = time.monotonic()
        assert await post(client, door, event("evt_honest")) == 200
        assert time.monotonic() - began < 1


async def test_all_bodies_in_hand_are_bounded(own_door: Callable[..., Door], client: aiohttp.ClientSession) -> None:
    door = own_door(BODIES_BYTES_MAX=str(MIB))
    await ready(client, door)
    head = head_of(door, f"Stripe-Signature: {sign(b'')}", "Content-Length: 500000")
    async with AsyncExitStack() as held, asyncio.TaskGroup() as listening:
        answers = []
        for _ in range(3):
            reader, writer = await held.enter_async_context(knock(door))
            writer.write(head + b"x" * 450_000)
            answers.append(listening.create_task(reader.readline()))

        done, waiting = await asyncio.wait(answers, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()

    assert [b" 503 " in task.result() for task in done] == [True]


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
    head = head_of(door, f"Stripe-Signature: {sign(body)}", f"Content-Length: {len(body)}", "Expect: 100-continue")
    async with knock(door) as (reader, writer):
        writer.write(head)
        assert b"100" in await reader.readline()  # So the request is in hand.
        await reader.readline()

        door.processes[0].send_signal(signal.SIGTERM)
        await until(lambda: _said(door, "the door closes"), True, seconds_max=5)
        writer.write(body)

        assert b" 200 " in await reader.readline()
    assert door.processes[0].wait(10) == 0
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", door.port)


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
