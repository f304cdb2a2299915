import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import stripe
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.delivery import post
from simulator.signing import signature_header

SECRET = "whsec_simulated"
BODY = '{"id": "evt_1", "name": "Zoë"}'.encode()

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


@pytest.mark.parametrize("status", [200, 400, 503])
async def test_a_post_is_signed_and_shows_the_answer(door: Door, status: int) -> None:
    heard: list[tuple[bytes, str]] = []

    async def answer(request: web.Request, body: bytes) -> web.Response:
        heard.append((body, request.headers["Stripe-Signature"]))
        return web.Response(status=status, text="so it is")

    one = await post(await door(answer), SECRET, BODY, time.time)

    ((body, signature),) = heard
    assert body == BODY
    assert stripe.WebhookSignature.verify_header(body, signature, SECRET, tolerance=300)
    assert (one.status, one.text, one.error, one.accepted) == (status, "so it is", None, status == 200)
    assert one.sent_at <= one.answered_at


async def test_nobody_there_is_an_error_with_a_name(free_port: Callable[[], int]) -> None:
    one = await post(f"http://127.0.0.1:{free_port()}/", SECRET, BODY, time.time)

    assert (one.status, one.error, one.accepted) == (None, "ClientConnectorError", False)
