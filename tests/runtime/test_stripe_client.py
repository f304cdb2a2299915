"""The one way to Stripe, before a pretend Stripe that answers late, wrongly, or not at all."""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import stripe

from models.stripe_events import NEWEST_KNOWN_API_VERSION
from runtime import metrics
from runtime.stripe_circuit import Circuit
from runtime.stripe_client import API_VERSION, Again, Answer, Asking, Cause, Refused, StripeClient, Unknown, Write, path
from runtime.stripe_patience import Patience
from tests.support_stripe import HURRIED, KEY, Pretend, pretending

TWICE = replace(HURRIED, patience=Patience(retries_max=1, pause_seconds_first=0.01))
DEEDS = 20
CUSTOMERS = path("customers")


@pytest.fixture
async def pretend() -> AsyncIterator[Pretend]:
    async with pretending() as one:
        yield one


@pytest.fixture
async def client(pretend: Pretend) -> AsyncIterator[StripeClient]:
    async with pretend.client() as one:
        yield one


def deed(name: str) -> Write:
    """Something that must be done once: each makes a customer, and a second one would be seen."""
    return Write(CUSTOMERS, {"metadata": {"deed": name}}, Cause("customer", name))


async def do(client: StripeClient, name: str, within_seconds: float = 30.0) -> Answer:
    async def look() -> Answer | None:
        answer = await client.read(CUSTOMERS, {"limit": 100})
        done = [customer for customer in answer.object["data"] if customer["metadata"].get("deed") == name]
        return replace(answer, object=done[0]) if done else None

    return await client.write(deed(name), look, Asking(within_seconds=within_seconds))


def done(pretend: Pretend) -> Counter[str]:
    """How often each deed was done, by Stripe's own books."""
    return Counter(customer["metadata"]["deed"] for customer in pretend.things("customer"))


@pytest.mark.parametrize(
    "kind", ["rate_limit", "error", "error_after", "hang", "hang_after", "reset", "reset_after", "slow"]
)
async def test_whatever_goes_wrong_with_every_third_request_each_deed_is_done_once(
    pretend: Pretend, client: StripeClient, kind: str
) -> None:
    fault = pretend.fault(kind, share=0.3, seconds=0.0 if kind == "slow" else None)

    answers = await asyncio.gather(*(do(client, f"deed {number}") for number in range(DEEDS)))

    assert fault.struck
    assert done(pretend) == {f"deed {number}": 1 for number in range(DEEDS)}
    assert {answer.object["id"] for answer in answers} == {one["id"] for one in pretend.things("customer")}


async def test_a_failure_that_stripe_keeps_is_looked_into_before_it_is_asked_anew(
    pretend: Pretend, client: StripeClient
) -> None:
    pretend.fault("error_after", method="POST", count=1)
    await do(client, "done all the same")
    pretend.fault("error", method="POST", count=1)
    await do(client, "not done")

    keys = [entry.idempotency_key for entry in pretend.asked("POST", CUSTOMERS)]
    assert list(dict.fromkeys(keys)) == [
        deed("done all the same").cause.key(0),
        deed("not done").cause.key(0),
        deed("not done").cause.key(1),
    ]
    assert done(pretend) == {"done all the same": 1, "not done": 1}


async def test_a_deed_whose_answer_never_came_is_unknown_and_done_once_when_asked_again(
    pretend: Pretend, client: StripeClient
) -> None:
    pretend.fault("hang_after", method="POST", count=1)
    pretend.fault("rate_limit", method="POST")
    with pytest.raises(Unknown):
        await do(client, "deed", within_seconds=0.8)
    pretend.heal()

    answer = await do(client, "deed")

    assert [customer["id"] for customer in pretend.things("customer")] == [answer.object["id"]]


async def test_what_was_certainly_not_heard_is_not_unknown(pretend: Pretend) -> None:
    async with pretend.client(TWICE) as client:
        pretend.fault("rate_limit")
        with pytest.raises(Again, match="rate_limit"):
            await do(client, "deed")
    async with StripeClient(KEY, "http://127.0.0.1:9", TWICE) as client:
        with pytest.raises(Again, match="unreachable"):
            await do(client, "deed")


async def test_who_cannot_look_does_not_ask_anew(pretend: Pretend, client: StripeClient) -> None:
    pretend.fault("error_after", method="POST")
    pretend.fault("rate_limit", method="GET")

    with pytest.raises(Unknown):
        await do(client, "deed", within_seconds=1.0)

    assert {entry.idempotency_key for entry in pretend.asked("POST", CUSTOMERS)} == {deed("deed").cause.key(0)}


async def test_what_stripe_refuses_is_not_asked_again(pretend: Pretend, client: StripeClient) -> None:
    with pytest.raises(Refused) as refused:
        await client.read(path("customers", "cus_nobody"))

    assert (refused.value.reason, refused.value.status) == ("resource_missing", 404)
    assert len(list(pretend.asked("GET", path("customers", "cus_nobody")))) == 1


async def test_one_cause_cannot_be_two_deeds(client: StripeClient) -> None:
    await do(client, "deed")
    other = replace(deed("deed"), params={"metadata": {"deed": "another"}})

    with pytest.raises(Refused, match="idempotency"):
        await client.write(other, _look_for_nothing)


async def test_a_wrong_key_is_said_at_once_and_may_be_put_right(pretend: Pretend) -> None:
    async with pretend.client(key="rk_live_of_somebody_else") as client:
        with pytest.raises(Again, match="key_refused"):
            await client.read(CUSTOMERS)

    assert len(list(pretend.asked("GET", CUSTOMERS))) == 1


async def test_while_stripe_is_silent_nobody_is_kept_waiting_and_one_finds_out_when_it_speaks(pretend: Pretend) -> None:
    circuit = Circuit(failures_max=5, open_seconds=60)
    async with pretend.client(replace(HURRIED, try_seconds_max=0.3, circuit=lambda: circuit)) as client:
        pretend.fault("hang")
        with pytest.raises(Again, match="circuit_open"):
            await client.read(CUSTOMERS)
        sent = len(pretend.desk.journal.entries)
        with pytest.raises(Again, match="circuit_open"):
            await client.ready()
        pretend.heal()
        circuit._opens_again_at = 0.0  # A minute later.

        await client.read(CUSTOMERS)

        await client.ready()
        assert sent == 5
        assert len(pretend.desk.journal.entries) == sent + 1


async def test_a_failure_that_stripe_kept_does_not_shut_it_off_again_when_it_is_well(pretend: Pretend) -> None:
    circuit = Circuit(failures_max=1, open_seconds=60)
    async with pretend.client(replace(HURRIED, circuit=lambda: circuit)) as client:
        pretend.fault("error", method="POST")
        with pytest.raises(Unknown):
            await do(client, "deed")
        pretend.heal()
        circuit._opens_again_at = 0.0  # A minute later.

        await do(client, "deed")

        await client.ready()
    assert done(pretend) == {"deed": 1}


@asynccontextmanager
async def somebody_else(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that is no Stripe: it says one thing to all, and hangs up."""
    heard: list[bytes] = []

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard


@pytest.mark.parametrize(
    ("answer", "means"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", Unknown),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n{"id": "cus_', Unknown),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>", Unknown),
        (b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", Refused),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 6\r\n\r\n<html>", Refused),
        (b"SSH-2.0-OpenSSH\r\n\r\n", Unknown),
        (b"", Unknown),
    ],
)
async def test_what_does_not_speak_as_stripe_does_is_never_taken_for_an_answer(
    answer: bytes, means: type[Exception]
) -> None:
    async with somebody_else(answer) as (address, heard), StripeClient(KEY, address, TWICE) as client:
        with pytest.raises(means) as raised:
            await client.write(deed("deed"), _look_for_nothing)

    assert type(raised.value) is means
    assert not [request for request in heard if b"/elsewhere" in request]


async def test_people_in_a_hurry_do_not_shut_stripe_off_for_everybody(pretend: Pretend) -> None:
    limits = replace(HURRIED, try_seconds_max=5.0, circuit=lambda: Circuit(failures_max=1))
    async with pretend.client(limits) as client:
        pretend.fault("hang", count=1)
        with pytest.raises(Again, match="timeout"):
            await client.read(CUSTOMERS, asking=Asking(within_seconds=0.5))

        await client.ready()


async def test_a_list_is_read_to_its_end(pretend: Pretend, client: StripeClient) -> None:
    await asyncio.gather(*(do(client, f"deed {number}") for number in range(7)))

    found = [customer["id"] async for customer in client.each(CUSTOMERS, {"limit": 3})]

    assert found == [customer["id"] for customer in pretend.things("customer")]


async def test_an_answer_is_dated_by_stripes_clock_and_names_the_request(
    pretend: Pretend, client: StripeClient
) -> None:
    answer = await do(client, "deed")

    assert answer.answered_at == datetime.fromtimestamp(pretend.desk.world.now, UTC)
    assert answer.request_id is not None
    assert answer.request_id.startswith("req_")
    assert answer.idempotency_key == deed("deed").cause.key(0)


async def test_we_ask_in_one_version_whatever_the_account_has(pretend: Pretend, client: StripeClient) -> None:
    await client.read(CUSTOMERS)

    assert next(pretend.asked("GET", CUSTOMERS)).stripe_version == API_VERSION
    assert API_VERSION == NEWEST_KNOWN_API_VERSION
    assert stripe.api_version == API_VERSION


async def test_no_secret_and_nobodys_address_is_logged_or_counted(
    pretend: Pretend, client: StripeClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await client.read(CUSTOMERS, {"email": "ada@example.com"})
        with pytest.raises(Refused):
            await client.read(path("customers", "ada@example.com"))
        pretend.fault("reset", count=1)
        await do(client, "deed")

    told = caplog.text + metrics.exposition().decode()
    assert "stripe_requests_total" in told
    assert KEY not in told
    assert "ada@" not in told
    assert "ada%40" not in told


def test_a_cause_is_one_key_a_generation_and_tells_nothing_of_itself() -> None:
    keys = {Cause(kind, name).key(generation) for kind in "ab" for name in ("1", "b1") for generation in (0, 1)}

    assert len(keys) == 8
    assert Cause("refund", "ada@example.com").key(0) == Cause("refund", "ada@example.com").key(0)
    assert re.fullmatch(r"billstream-[0-9a-f]{40}", Cause("refund", "ada@example.com").key(0))


@pytest.mark.parametrize("name", ["../refunds", "a/b", "a?b=c", "a#b", "%2e%2e", "..%2f", "ä b", "\r\nX: y"])
async def test_an_id_leads_nowhere_else_whatever_it_is_made_of(name: str) -> None:
    nothing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"
    async with somebody_else(nothing) as (address, heard), StripeClient(KEY, address, TWICE) as client:
        with pytest.raises(Refused):
            await client.read(path("charges", name))

    assert re.fullmatch(rb"GET /v1/charges/[^/?#\s]{3,} HTTP/1.1", heard[0].partition(b"\r\n")[0])


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_what_no_id_can_be_is_refused_before_anybody_is_asked(name: str) -> None:
    with pytest.raises(Refused, match="resource_missing"):
        path("charges", name)


async def _look_for_nothing() -> None:
    return None
