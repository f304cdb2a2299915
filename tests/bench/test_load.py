"""The generator sends what it should, when it was due, and tells the truth about the answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import islice, pairwise
from pathlib import Path

import pytest
import stripe

from bench.answers import NO_ANSWER, Answers
from bench.corpus import Corpus, Event, lives
from bench.load import Sender, Supply, ahead, events_of, scattered
from bench.requests import Renderer, with_copies
from bench.trial import Load, Mix
from ops.local import ports
from ops.local.waiting import until
from runtime import clock

SECRET = "whsec_0123456789abcdef"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
EVENTS = [Event(f"evt_{number}", b'{"id": "evt_%d", "object": "event"}' % number) for number in range(40)]

Heard = tuple[str, bytes]
Answer = Callable[[Heard], Awaitable[bytes]]
"""What a server says to a request; nothing, and it hangs up."""


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[int]:
    """A door of the test's own on a real socket; its port."""

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
                body = await reader.readexactly(int(fields["Content-Length"]))
                said = await answer((fields["Stripe-Signature"], body))
                if not said:
                    return
                writer.write(said)
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    served = await asyncio.start_server(hear, ports.HOST, 0)
    async with served:
        yield served.sockets[0].getsockname()[1]


def supply(events: list[Event], share: float = 0.0) -> Supply:
    renderer = Renderer("here", "/webhooks/stripe", SECRET.encode(), lambda: clock.now().timestamp())
    return Supply(with_copies(events, share), renderer)


async def sent(port: int, what: Supply, rate: float | None = None, connections: int = 4) -> Answers:
    sender = Sender(ports.HOST, port)
    await sender.connect(connections)
    try:
        return await sender.send(what, rate)
    finally:
        sender.close()


async def test_every_request_bears_a_signature_that_stripes_own_library_believes() -> None:
    heard: list[Heard] = []

    async def answer(request: Heard) -> bytes:
        heard.append(request)
        return OK

    async with server(answer) as port:
        answers = await sent(port, supply(EVENTS, share=0.1))

    for header, body in heard:
        assert stripe.Webhook.construct_event(body, header, SECRET)["object"] == "event"
    bodies = [body for _, body in heard]
    assert {body: bodies.count(body) for body in bodies} == {
        event.body: 2 if number % 10 == 9 else 1 for number, event in enumerate(EVENTS)
    }
    assert answers.fact_ids == [event.fact_id for event in EVENTS]
    assert list(answers.statuses) == [200] * 44
    assert sum(answers.copies) == 4


async def test_what_is_due_is_due_though_nobody_answers_and_its_time_runs() -> None:
    sender: Sender | None = None

    async def answer(request: Heard) -> bytes:
        if b'"evt_0"' in request[1]:
            await until(lambda: sender is not None and len(sender._waiting) == 9, 10)
        return OK

    async with server(answer) as port:
        sender = Sender(ports.HOST, port)
        await sender.connect(1)
        answers = await sender.send(supply(EVENTS[:10]), 500)
        sender.close()

    dues = list(answers.due)
    assert [round(later - earlier, 6) for earlier, later in pairwise(dues)] == [0.002] * 9
    assert min(answers.answered) > max(dues), "the first answer came when everything was due"


async def test_a_burst_has_no_schedule_a_request_is_due_when_a_connection_is_free() -> None:
    async def answer(request: Heard) -> bytes:
        del request
        return OK

    async with server(answer) as port:
        answers = await sent(port, supply(EVENTS), connections=1)

    assert all(due >= before for due, before in zip(list(answers.due)[1:], answers.answered, strict=False))


async def test_a_broken_connection_is_no_answer_and_the_rest_goes_by_another() -> None:
    async def answer(request: Heard) -> bytes:
        return b"" if b'"evt_3"' in request[1] else OK

    async with server(answer) as port:
        answers = await sent(port, supply(EVENTS), connections=1)

    told = {answers.fact_ids[event]: status for event, status in zip(answers.events, answers.statuses, strict=True)}
    assert told == {event.fact_id: NO_ANSWER if event.fact_id == "evt_3" else 200 for event in EVENTS}


async def test_a_refusal_is_noted_and_not_tried_again() -> None:
    async def answer(request: Heard) -> bytes:
        return BUSY if b'"evt_5"' in request[1] else OK

    async with server(answer) as port:
        answers = await sent(port, supply(EVENTS))

    assert sorted(answers.statuses) == [200] * 39 + [503]


async def test_an_answer_in_pieces_is_one_answer() -> None:
    whole = iter([OK[:10], OK[10:]])

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        for piece in whole:
            writer.write(piece)
            await writer.drain()
        writer.close()

    served = await asyncio.start_server(hear, ports.HOST, 0)
    async with served:
        answers = await sent(served.sockets[0].getsockname()[1], supply(EVENTS[:1]), connections=1)

    assert list(answers.statuses) == [200]


def test_nothing_is_signed_so_early_that_it_is_too_old_when_it_goes() -> None:
    assert ahead(Load(50, 100_000, 64)) <= 50 * 300
    assert ahead(Load(None, 100_000, 64)) > 0


def test_answers_survive_a_file(tmp_path: Path) -> None:
    answers = Answers(fact_ids=["evt_a", "evt_b"])
    posts = with_copies(islice(EVENTS, 2), 0.5)
    for place, post in enumerate(posts):
        answers.note(post, due=float(place), answered=place + 0.25, status=200 + place)

    answers.write(tmp_path / "answers")

    assert Answers.read(tmp_path / "answers") == answers


@pytest.mark.parametrize("known", [None, 3])
def test_a_load_is_of_ever_new_people_or_of_the_known_ones_in_turn(known: int | None) -> None:
    events = list(islice(events_of(Load(None, 10, 1, known_subscribers=known), Corpus(1, lives(Mix.EVERYTHING))), 10))

    assert len({event.fact_id for event in events}) == 10
    if known:
        people = [event.body.partition(b'"customer": "')[2].partition(b'"')[0] for event in events]
        assert people[:3] == people[3:6]
        assert len(set(people)) == known


@pytest.mark.parametrize("count", [1, 2, 1_000, 1_000_000])
def test_known_subscribers_are_met_all_over_and_each_once_a_turn(count: int) -> None:
    met = list(scattered(count, begin=1_234_567))

    assert sorted(met) == list(range(count))
    assert count < 100 or min(abs(one - other) for one, other in pairwise(met)) > count / 20
