"""What the door says is HTTP as aiohttp would say it, whatever the answer and whatever the caller speaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
from aiohttp import web

from ingress.answers import STATUS, Answer, Words

RETRY_AFTER_SECONDS = 7
CALLERS = {
    "goes on": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "ends": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "old": b"POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "old and goes on": b"POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
}


@asynccontextmanager
async def served(handle: web.RequestHandler) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server that answers by *handle*."""
    server = web.Server(handle)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        listening.close()
        await server.shutdown(0)


async def heads(handle: web.RequestHandler, request: bytes) -> tuple[list[dict[str, str]], bool]:
    """The heads that two requests in one connection are answered with, and whether the connection went on."""
    async with served(handle) as (reader, writer):
        writer.write(request)
        first = await reader.readuntil(b"\r\n\r\n")
        writer.write(request)
        second = await reader.read(65_536)
    return [_fields(head) for head in (first, second) if head], bool(second)


def _fields(head: bytes) -> dict[str, str]:
    status, *lines = head.decode().removesuffix("\r\n\r\n").split("\r\n")
    fields = {name: value for name, _, value in (line.partition(": ") for line in lines)}
    return {"": status, **fields}


def aiohttps_own(answer: Answer) -> web.Response:
    status = STATUS[answer]
    headers = {"Server": "billstream"}
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if status == 405:
        headers["Allow"] = "POST"
    return web.Response(status=status, headers=headers)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("answer", Answer)
async def test_every_answer_is_the_one_that_aiohttp_would_give(answer: Answer, caller: str) -> None:
    words = Words(RETRY_AFTER_SECONDS)

    async def ours(request: web.BaseRequest) -> web.StreamResponse:
        return words.to(request, answer)

    async def theirs(_: web.BaseRequest) -> web.StreamResponse:
        return aiohttps_own(answer)

    said, goes_on = await heads(ours, CALLERS[caller])
    expected, would_go_on = await heads(theirs, CALLERS[caller])

    dates = [parsedate_to_datetime(one.pop("Date")) for one in (*said, *expected)]
    assert max(dates) - min(dates) < timedelta(seconds=60)
    assert abs(datetime.now(UTC) - dates[0]) < timedelta(seconds=60)
    if caller.startswith("old"):  # We say which HTTP we speak (RFC 9110, 2.5), and end what is older.
        assert not goes_on
        assert said[0].pop("Connection") == "close"
        expected[0].pop("Connection", None)
        expected[0][""] = expected[0][""].replace("HTTP/1.0", "HTTP/1.1")
        assert said[0] == expected[0]
    else:
        assert said == expected
        assert goes_on == would_go_on == (caller == "goes on")


@pytest.mark.parametrize("answer", Answer)
async def test_the_last_answer_ends_the_connection(answer: Answer) -> None:
    words = Words(RETRY_AFTER_SECONDS)

    async def ours(_: web.BaseRequest) -> web.StreamResponse:
        return words.last(answer)

    (said,), goes_on = await heads(ours, CALLERS["goes on"])
    assert not goes_on
    assert said["Connection"] == "close"
