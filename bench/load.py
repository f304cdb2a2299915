"""The generator: a process of its own that sends and listens, and does nothing else: `python -m bench.load FILE`.

The loop is open: requests fall due by schedule whatever the answers do, wait in a queue when every connection is busy,
and their time is taken from the moment they were due.  A burst has no schedule: a request is due when a connection is
free for it.  Requests are rendered and signed ahead, as many as fit, and connections are plain protocols over
keep-alive, so that the generator takes little from the cores it shares, and from each side the same.

FILE holds its `Order`.  It says `ready` when it is connected, sends the warmup when told `warm` and says `warmed`,
renders ahead and says `rendered`, sends the rest when told `go` and says `sent`; told `end`, it writes the answers.
"""

import asyncio
import gc
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import uvloop
from pydantic import TypeAdapter

from bench.answers import Answers
from bench.connection import Connection
from bench.corpus import Corpus, Event, Lives
from bench.requests import Post, Renderer, with_copies
from bench.trial import Load
from runtime import clock

AHEAD_MAX: Final = 20_000
"""Requests rendered before the start: 140 MB of them."""

SIGNED_AHEAD_SECONDS_MAX: Final = 150.0
"""Below the 300 s that a signature is good for."""


TRACKS: Final = 16
"""With two hundred people in each, some thousands are alive at once."""

EPOCH: Final = 1_760_000_000
TIMER_SECONDS: Final = 0.001
SCATTER: Final = 2_147_483_647  # A prime, so that every count of people is met to the last of them.
TURNS_PER_SECOND_MAX: Final = 10
"""Each turn of the known subscribers happens a second after the one before, and after all of an earlier load: so since
EPOCH time passes so many times as quickly in their lives as here."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the generator is told."""

    load: Load
    host: str
    port: int
    path: str
    secret: str
    first_generation: int
    lives_file: Path
    answers_file: Path


class Supply:
    """Requests in the order in which they go out, rendered ahead as far as they were asked to be."""

    def __init__(self, posts: Iterator[Post], renderer: Renderer) -> None:
        self._posts = posts
        self._renderer = renderer
        self._rendered: deque[tuple[Post, bytes]] = deque()
        self.fact_ids: list[str] = []

    def render_ahead(self, count: int) -> None:
        """Render the next *count* requests now."""
        self._rendered.extend(map(self._render, islice(self._posts, count)))

    def next(self) -> tuple[Post, bytes] | None:
        """The next request; None when there is none."""
        if self._rendered:
            return self._rendered.popleft()
        post = next(self._posts, None)
        return None if post is None else self._render(post)

    def _render(self, post: Post) -> tuple[Post, bytes]:
        if not post.copy:
            self.fact_ids.append(post.content.fact_id)
        return post, self._renderer.render(post.content.body)


class Sender:
    """Sends what a supply has over a set of connections, by schedule or as fast as they take it."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._connections: list[Connection] = []
        self._idle: list[Connection] = []
        self._reconnecting: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    async def connect(self, count: int) -> None:
        """Open *count* more connections; raises OSError when nobody listens."""
        for _ in range(count):
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._answered), self._host, self._port
            )
            self._connections.append(connection)
            self._idle.append(connection)

    def close(self) -> None:
        """Hang up everywhere."""
        for connection in self._connections:
            connection.close()

    async def send(self, supply: Supply, rate_per_second: float | None) -> Answers:
        """Send all of it; returns when every request has its answer, or will have none."""
        self._supply, self._rate = supply, rate_per_second
        self._answers = Answers(fact_ids=supply.fact_ids)
        self._waiting: deque[tuple[Post, bytes, float]] = deque()  # Due, and no connection was free.
        self._under_way = 0
        self._supplied = False
        self._all_answered = asyncio.Event()
        self._next_due = clock.monotonic()
        self._dispatch() if rate_per_second is None else self._tick(rate_per_second)
        await self._all_answered.wait()
        return self._answers

    def _tick(self, rate_per_second: float) -> None:
        """Queue everything that has fallen due.

        The schedule is finer than the loop's timers, which are of a millisecond: a shorter one would fire at once, and
        again and again, and the generator would take a core from those whom it measures.
        """
        while self._next_due <= clock.monotonic() and (one := self._next()):
            self._waiting.append((*one, self._next_due))
            self._next_due += 1 / rate_per_second
        self._dispatch()
        if not self._supplied:
            self._loop.call_later(max(TIMER_SECONDS, self._next_due - clock.monotonic()), self._tick, rate_per_second)

    def _dispatch(self) -> None:
        """Give free connections what is due: of a burst, always the next one."""
        while self._idle and (one := self._due()):
            self._under_way += 1
            self._idle.pop().send(*one)
        if self._supplied and not self._waiting and not self._under_way:
            self._all_answered.set()

    def _due(self) -> tuple[Post, bytes, float] | None:
        if self._waiting:
            return self._waiting.popleft()
        if self._rate is None and (one := self._next()):
            return (*one, clock.monotonic())
        return None

    def _next(self) -> tuple[Post, bytes] | None:
        one = self._supply.next()
        self._supplied = one is None
        return one

    def _answered(self, connection: Connection, status: int) -> None:
        """Note the answer, and give the connection its next request."""
        assert connection.post is not None, "it was given one"
        self._answers.note(connection.post, due=connection.due, answered=clock.monotonic(), status=status)
        connection.post = None
        self._under_way -= 1
        if connection.open:
            self._idle.append(connection)
        else:
            task = self._loop.create_task(self._reconnect())
            self._reconnecting.add(task)
            task.add_done_callback(self._reconnecting.discard)
        self._dispatch()

    async def _reconnect(self) -> None:
        await self.connect(1)
        self._dispatch()


async def generate(order: Order) -> None:
    """Carry out *order*, step by step as told on standard input."""
    load = order.load
    renderer = Renderer(
        f"{order.host}:{order.port}", order.path, order.secret.encode(), lambda: clock.now().timestamp()
    )
    corpus = Corpus(order.first_generation, Lives.read(order.lives_file), TRACKS)
    sender = Sender(order.host, order.port)
    await sender.connect(load.connections)
    await _say_and_await("ready", "warm")
    events = events_of(load, corpus)
    await sender.send(Supply(with_copies(islice(events, load.warmup_events), 0.0), renderer), None)
    _say("warmed")
    supply = Supply(with_copies(islice(events, load.events), load.duplicate_share), renderer)
    supply.render_ahead(ahead(load))
    gc.freeze()  # What is rendered stays till it is sent: looking through it again and again would cost.
    await _say_and_await("rendered", "go")
    answers = await sender.send(supply, load.rate_per_second)
    await _say_and_await("sent", "end")  # Until then we can be looked at.
    answers.write(order.answers_file)


def events_of(load: Load, corpus: Corpus) -> Iterator[Event]:
    """What is sent: the lives of new people, or one turn after the other of the known ones."""
    if load.known_subscribers is None:
        yield from corpus.fresh()
        return
    now = clock.now().timestamp()
    created = EPOCH + int((now - EPOCH) * TURNS_PER_SECOND_MAX)
    while True:
        yield from corpus.about(scattered(load.known_subscribers, int(now * 1_000)), created)
        created += 1


def scattered(count: int, begin: int) -> Iterator[int]:
    """Every number below *count* once, from a place that *begin* tells, no two neighbours in a row.

    A trial meets a small part of many known people only: they shall lie all over the tables, and another one meets
    others.
    """
    assert count < SCATTER, "some numbers would never come"
    return (place * SCATTER % count for place in range(begin, begin + count))


def ahead(load: Load) -> int:
    """How many requests are rendered before the start: none of them may be too old when it goes."""
    if load.rate_per_second is None:
        return AHEAD_MAX
    return min(AHEAD_MAX, int(load.rate_per_second * SIGNED_AHEAD_SECONDS_MAX))


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def _say_and_await(word: str, answer: str) -> None:
    _say(word)
    heard = await asyncio.to_thread(sys.stdin.readline)
    if heard.strip() != answer:
        raise SystemExit(f"told {heard.strip()!r} and not {answer!r}: whoever started us is gone")


def main() -> None:
    """Carry out the order in the file that the command line names."""
    order = TypeAdapter(Order).validate_json(Path(sys.argv[1]).read_bytes())
    uvloop.run(generate(order))


if __name__ == "__main__":
    main()
