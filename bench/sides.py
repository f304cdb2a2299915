"""The sides that are measured, and the ground they stand on: one Kafka and one PostgreSQL for all of them.

Each side is started for a trial and stopped after it; the servers stay.  Ours and the bare ones have topics and a
database of their own, under the same migrations, so no side ever sees another's rows, and both grow alike.
"""

import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

import psutil
import psycopg
from psycopg import sql

from bench import servers
from models.topics import ALERTS, DAY_MS, PARKED, PAYMENTS, STRIPE_EVENTS, STRIPE_REQUESTS, SUBSCRIPTIONS, Topic
from ops import topics
from ops.local import folders, health, ports, programs
from ops.local.child import Child, describe
from ops.local.postgres import Role
from ops.local.programs import Maker, Program, Servers
from ops.local.stack import READY_EVERY_SECONDS, READY_SECONDS_MAX, Stack
from ops.local.waiting import together
from store import migrate

GRACE_SECONDS: Final = 12.0
BARE_DATABASE: Final = "bare"
BARE_GROUP: Final = "bare.books"
OUR_GROUP: Final = "billing.books"


def _bare_topic(name: str, partitions: int) -> Topic:
    return Topic(name=name, key="any", partitions=partitions, retention_ms=7 * DAY_MS, written_by=(), read_by=())


BARE_EVENTS: Final = _bare_topic("bare.events", STRIPE_EVENTS.partitions)
BARE_SAID: Final = _bare_topic("bare.subscriptions", SUBSCRIPTIONS.partitions)
BARE_INGRESS: Final = _bare_topic("bare.ingress", STRIPE_EVENTS.partitions)  # Of doors with nobody behind them.
BARE_TOPICS: Final = (BARE_EVENTS, BARE_SAID, BARE_INGRESS)


@dataclass(frozen=True, slots=True)
class Books:
    """Where the commits and the events of a whole side are seen."""

    database_url: str
    group: str
    said_topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Door:
    """Where requests are sent, signed with what, and which topic they go to."""

    port: int
    path: str
    secret: str
    topic: str


@dataclass(frozen=True, slots=True)
class Part:
    """One process of a side: its name in a trial, and how it is told what it needs."""

    name: str
    program: Program
    answers: bool = True  # Whether it serves `/readyz`; else it is enough that it listens.


class Side:
    """One side: processes that are started for a trial, `async with side:`, and stopped after it."""

    def __init__(self, ground: "Ground", name: str, door: Door, parts: Sequence[Part], books: Books | None) -> None:
        self.ground = ground
        self.name = name
        self.door = door
        self.books = books
        self._parts = tuple(parts)
        self._children: list[Child] = []

    async def __aenter__(self) -> Self:
        """All of its processes are ready."""
        self._children = [self.ground.child(self.name, part) for part in self._parts]
        try:
            for child in self._children:
                child.start()
            await together(*map(self._ready, self._children, self._parts))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await together(*(child.stop(GRACE_SECONDS) for child in self._children))

    def replace_program(self, name: str, module: str) -> None:
        """Have *module* run in place of the processes *name*, told the same: another way to do it, or a broken one."""
        self._parts = tuple(
            replace(part, program=replace(part.program, module=module)) if part.name == name else part
            for part in self._parts
        )

    @property
    def pids(self) -> dict[str, list[int]]:
        """Its processes and the servers, by what they are."""
        found = {name: [pid] for name, pid in self.ground.server_pids.items()}
        for child in self._children:
            found.setdefault(child.name, []).append(child.pid)
        return found

    def problems(self) -> list[str]:
        """Which of its processes do not run any more."""
        return [
            f"{child.name} ended ({describe(child.exit_status)}): {child.last_lines()}"
            for child in self._children
            if not child.alive
        ]

    async def _ready(self, child: Child, part: Part) -> None:
        program = part.program
        await child.until(
            lambda: _listens(child.pid, program.port), READY_SECONDS_MAX, every_seconds=READY_EVERY_SECONDS
        )
        if part.answers:
            await child.until(
                lambda: health.is_ready(program.url), READY_SECONDS_MAX, every_seconds=READY_EVERY_SECONDS
            )


@dataclass(frozen=True, slots=True)
class Wish:
    """What may be different about a side: how many of its processes, and what they are told."""

    ingresses: int = 1
    books: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)


def _listens(pid: int, port: int) -> bool:
    """Whether that very process listens there: several doors share a port, and an open one may be a sister's."""
    with suppress(psutil.NoSuchProcess):
        found = psutil.Process(pid).net_connections("tcp")
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in found)
    return False


class Ground:
    """The servers, and what each side needs on them."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._servers = Servers(stack.kafka.bootstrap_servers, stack.postgres.url(Role.APP))
        self._bare_servers = Servers(stack.kafka.bootstrap_servers, stack.postgres.url(Role.APP, BARE_DATABASE))

    async def prepare(self) -> None:
        """The bare sides have their topics and their database."""
        self._make_database()
        migrate.apply(self.stack.postgres.url(Role.OWNER, BARE_DATABASE))
        async with topics.connected(self.stack.kafka_options, wanted=BARE_TOPICS) as wanted:
            await wanted.apply()

    @property
    def server_pids(self) -> dict[str, int]:
        """The servers' processes; none of those that were given by their addresses."""
        pids = {"postgres": self.stack.postgres.pid, "kafka": self.stack.kafka.pid}
        return {name: pid for name, pid in pids.items() if pid is not None}

    def side(self, name: str, settings: Mapping[str, str] | None = None, *, ingresses: int = 1, books: int = 1) -> Side:
        """The side of that name; *settings* are told to each of its processes beside what they need.

        Several doors share one port; of the bare consumer there is always one.
        """
        return SIDES[name](self, Wish(ingresses, books, settings or {}))

    def superuser_url(self, side: Side) -> str:
        """Where somebody may ask the server about itself, in the side's database."""
        return self.stack.postgres.url(Role.SUPERUSER, BARE_DATABASE if side.name in BARE_SIDES else "billing")

    def child(self, side: str, part: Part) -> Child:
        """A process of a side, not started yet."""
        servers = self._bare_servers if side in BARE_SIDES else self._servers
        return Child(
            part.name,
            [sys.executable, "-m", part.program.module],
            log=self.stack.home.folder / "logs" / f"{side}.{part.name}.log",
            environment=part.program.environment(servers, self.stack.credentials),
            folder=folders.PROJECT,
        )

    def our_part(self, name: str, make: Maker, settings: Mapping[str, str]) -> Part:
        """One of our own processes."""
        program = make(self._servers, self.stack.credentials)
        return Part(name, replace(program, settings={**program.settings, **settings}))

    def our_books(self) -> Books:
        """Where ours are seen."""
        said = (SUBSCRIPTIONS, PAYMENTS, ALERTS, STRIPE_REQUESTS, PARKED)
        return Books(self.stack.postgres.url(Role.APP), OUR_GROUP, tuple(topic.name for topic in said))

    def our_ingresses(self, wish: Wish) -> list[Part]:
        """As many of our doors as were wished for, on one port."""
        return [self.our_part("ingress", programs.ingress(None), wish.settings)] * wish.ingresses

    def bare_ingresses(self, topic: Topic, wish: Wish) -> list[Part]:
        """The bare doors in front of *topic*, on one port."""
        program = Program(
            name="bare-ingress",
            module="bench.bare.ingress",
            port=ports.free_port(),
            port_setting="INGRESS_PORT",
            settings={"TOPIC": topic.name, **wish.settings},
            secrets={"webhook_secret": self.stack.webhook_secret},
        )
        return [Part("ingress", program, answers=False)] * wish.ingresses

    def bare_books(self, settings: Mapping[str, str]) -> Part:
        """The bare consumer."""
        program = Program(
            name="bare-books",
            module="bench.bare.books",
            port=ports.free_port(),
            settings={"TOPIC": BARE_EVENTS.name, "SAID_TOPIC": BARE_SAID.name, "GROUP": BARE_GROUP, **settings},
            secrets={"database_url": self._bare_servers.database_url},
        )
        return Part("books", program)

    def door(self, parts: Sequence[Part], path: str, topic: Topic) -> Door:
        """The door that *parts* open."""
        return Door(parts[0].program.port, path, self.stack.webhook_secret, topic.name)

    def bare_books_seen(self) -> Books:
        """Where the bare side is seen."""
        return Books(self._bare_servers.database_url, BARE_GROUP, (BARE_SAID.name,))

    def _make_database(self) -> None:
        """As `ops.local.postgres` makes the product's own."""
        name, owner, app = (sql.Identifier(word) for word in (BARE_DATABASE, Role.OWNER, Role.APP))
        with psycopg.connect(self.stack.postgres.url(Role.SUPERUSER, "postgres"), autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [BARE_DATABASE]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))
                connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, app))


def _bare_ingress(ground: Ground, wish: Wish) -> Side:
    """The ceiling of a door."""
    doors = ground.bare_ingresses(BARE_INGRESS, wish)
    return Side(ground, "bare-ingress", ground.door(doors, "/", BARE_INGRESS), doors, None)


def _construct_event(ground: Ground, wish: Wish) -> Side:
    """The bare door as Stripe's documentation has it."""
    told = replace(wish, settings={"CONSTRUCT_EVENT": "true", **wish.settings})
    doors = ground.bare_ingresses(BARE_INGRESS, told)
    return Side(ground, "construct-event", ground.door(doors, "/", BARE_INGRESS), doors, None)


def _our_ingress(ground: Ground, wish: Wish) -> Side:
    """Our door, with nobody behind it."""
    doors = ground.our_ingresses(wish)
    return Side(ground, "ours-ingress", ground.door(doors, programs.WEBHOOK_PATH, STRIPE_EVENTS), doors, None)


def _bare(ground: Ground, wish: Wish) -> Side:
    """The ceiling of a pipeline: the bare door and the bare consumer."""
    doors = ground.bare_ingresses(BARE_EVENTS, wish)
    parts = [*doors, ground.bare_books(wish.settings)]
    return Side(ground, "bare", ground.door(doors, "/", BARE_EVENTS), parts, ground.bare_books_seen())


def _ours(ground: Ground, wish: Wish) -> Side:
    """The pipeline: doors, workers of the books, one relay, and who looks after the facts that wait."""
    doors = ground.our_ingresses(wish)
    workers = [ground.our_part("books", programs.books(ordinal), wish.settings) for ordinal in range(wish.books)]
    others = (
        ground.our_part("relay", programs.relay, wish.settings),
        ground.our_part("clock", programs.clock, {"ASK_AFTER_SECONDS": "3600"}),  # There is no Stripe to be asked.
    )
    parts = [*doors, *workers, *others]
    return Side(ground, "ours", ground.door(doors, programs.WEBHOOK_PATH, STRIPE_EVENTS), parts, ground.our_books())


SIDES: Final[dict[str, Callable[[Ground, Wish], Side]]] = {
    "bare-ingress": _bare_ingress,
    "ours-ingress": _our_ingress,
    "construct-event": _construct_event,
    "bare": _bare,
    "ours": _ours,
}
BARE_SIDES: Final = ("bare-ingress", "construct-event", "bare")


@asynccontextmanager
async def on_ground(home: Path, *, durable: bool = True) -> AsyncIterator[Ground]:
    """Servers of their own for one experiment; nothing of them is left after it."""
    async with Stack(
        home,
        names=(),
        durable=durable,
        postgres_settings=servers.postgres_settings(),
        kafka_memory=servers.KAFKA_MEMORY,
    ) as stack:
        ground = Ground(stack)
        await ground.prepare()
        yield ground
