"""The whole pipeline on one machine: two servers, a schema, topics, keys, and our processes.

    async with Stack(home) as stack:
        stack.supervisor.kill("books-0")
        await stack.kafka.restart()

Everything of a stack is in its home, so several run side by side, and nothing outlives it.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from ops import topics
from ops.local import folders, health, java, programs, providers, state
from ops.local.child import Child
from ops.local.credentials import Credentials
from ops.local.errors import CannotStart
from ops.local.home import Home
from ops.local.postgres import Role
from ops.local.programs import WEBHOOK_PATH, Program, Servers
from ops.local.state import Phase, Process, State
from ops.local.supervisor import Supervisor
from ops.local.waiting import together, until
from runtime import clock

READY_SECONDS_MAX: Final = 60.0
READY_EVERY_SECONDS: Final = 0.1  # Each look is a request, and the process it asks is busy starting.
NOTICE_EVERY_SECONDS: Final = 0.2
EVERYTHING: Final = ("ingress", "books-0", "books-1", "relay", "clock")
"""What a stack runs by itself.  `stripe-requests` and `platform` need a Stripe: who has one, real or pretended, names
them too."""


Say = Callable[[str], None]


class Stack:
    """One stack in one home.  *names* are the processes it starts; none of them, for the servers alone."""

    def __init__(
        self,
        home: Path = folders.DEFAULT_HOME,
        *,
        names: Sequence[str] = EVERYTHING,
        webhook_port: int | None = None,
        settings: Mapping[str, str] | None = None,
        durable: bool = True,
        postgres_settings: Mapping[str, str] | None = None,
        kafka_memory: Sequence[str] = java.SMALL,
        say: Say = lambda _: None,
    ) -> None:
        folder = home.resolve()
        self.home = Home(folder)
        self.credentials = Credentials(folder / "secrets")
        self.kafka = providers.kafka(folder / "kafka", memory=kafka_memory)
        self.postgres = providers.postgres(
            folder / "postgres", secrets=self.credentials.folder, durable=durable, settings=postgres_settings
        )
        self.supervisor = Supervisor()
        self._names = names
        self._makers = programs.makers(webhook_port)
        self._programs: dict[str, Program] = {}
        self._settings = dict(settings or {})  # Told to every process: limits that a test wants tighter.
        self._say = say
        self._phase = Phase.STARTING
        self._noticing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.down()

    @property
    def webhook_url(self) -> str:
        """Where Stripe is told to send."""
        return f"{self.url('ingress')}{WEBHOOK_PATH}"

    @property
    def webhook_secret(self) -> str:
        """What Stripe signs with."""
        return self.credentials.webhook_secret_file.read_text(encoding="utf-8")

    @property
    def kafka_options(self) -> dict[str, Any]:
        """What aiokafka's clients are made with."""
        return providers.kafka_options(self.kafka)

    def url(self, name: str) -> str:
        """Where the `/livez`, `/readyz` and `/metrics` of a process are; the same over its restarts."""
        return self._programs[name].url

    async def up(self) -> None:
        """All of it is ready.  What began is ended again when a part of it cannot start."""
        self.home.take()
        await self.home.end()
        kept = self.home.has_data
        try:
            await self._up()
        except BaseException:
            await self.down(keep_data=kept)
            raise

    async def down(self, *, keep_data: bool = False) -> None:
        """All of it has ended, in reverse, and nothing is left but the data if it is to be kept."""
        self._phase = Phase.STOPPING
        if self._noticing is not None:
            self._noticing.cancel()
        await self.supervisor.stop()
        await asyncio.gather(self.kafka.stop(), self.postgres.stop())
        self.home.leave()
        if not keep_data:
            self.kafka.remove()
            self.postgres.remove()
        self.home.clear(keep_data=keep_data)

    async def start(self, name: str) -> None:
        """The process *name* is started, ready, and kept alive from now on."""
        child = self._child(name)
        self.supervisor.start(child)
        await self.ready(name)
        self.supervisor.keep(name)

    async def ready(self, name: str) -> None:
        """The process *name* may have work (again)."""
        child, url = self.supervisor.child(name), self.url(name)
        await child.until(lambda: health.is_ready(url), READY_SECONDS_MAX, every_seconds=READY_EVERY_SECONDS)

    async def all_ready(self) -> None:
        """Every process may have work, all at the same time: a worker that joins makes its peers wait for a moment."""

        async def all_of_them() -> bool:
            return all([await health.is_ready(self.url(child.name)) for child in self.supervisor.children])

        try:
            await until(all_of_them, READY_SECONDS_MAX, every_seconds=READY_EVERY_SECONDS)
        except TimeoutError:
            raise CannotStart(f"The processes were not all ready at once within {READY_SECONDS_MAX:g} s.") from None

    def state(self) -> State:
        """What there is to say of it now."""
        supervisor = state.process("supervisor", os.getpid())
        assert supervisor is not None, "we run"
        return State(
            phase=self._phase,
            supervisor=supervisor,
            names=tuple(self._pids()),
            processes=self._processes(),
            addresses=self._addresses(),
            settings=self._settings_of_commands(),
        )

    async def _up(self) -> None:
        self._write_state()
        self.credentials.make(clock.now())
        await self._servers()
        await together(self._migrate(), self._provision())
        await together(*(self._told(name, self.start(name)) for name in self._names))
        await self.all_ready()
        self._phase = Phase.READY
        self._write_state()
        self._noticing = asyncio.create_task(self._notice())

    async def _servers(self) -> None:
        await together(
            self._told("Kafka", self.kafka.start()),
            self._told("PostgreSQL", self.postgres.start()),
        )
        self._write_state()

    async def _migrate(self) -> None:
        from store import migrate  # Late: whoever only asks for the status needs no SQLAlchemy.

        await self._told("the schema", asyncio.to_thread(migrate.apply, self.postgres.url(Role.OWNER)))

    async def _provision(self) -> None:
        async with topics.connected(self.kafka_options) as ours:
            await self._told("topics", ours.apply())

    async def _told(self, what: str, ready: Awaitable[object]) -> None:
        began = clock.monotonic()
        await ready
        self._say(f"{what}: ready in {clock.monotonic() - began:.1f} s")

    def _child(self, name: str) -> Child:
        servers = Servers(self.kafka.bootstrap_servers, self.postgres.url(Role.APP))
        program = self._programs.get(name) or self._makers[name](servers, self.credentials)
        self._programs[name] = program  # Its port stays the same, however often it is started.
        return Child(
            name,
            [sys.executable, "-m", program.module],
            log=self.home.folder / "logs" / f"{name}.log",
            environment=program.environment(servers, self.credentials) | self._settings,
            folder=folders.PROJECT,
        )

    def _processes(self) -> tuple[Process, ...]:
        seen = [state.process(name, pid, self._address(name)) for name, pid in self._pids().items()]
        return tuple(process for process in seen if process is not None)

    def _pids(self) -> dict[str, int]:
        servers = {"kafka": self.kafka.pid, "postgres": self.postgres.pid}
        ours = {child.name: child.pid for child in self.supervisor.children}
        return {name: pid for name, pid in servers.items() if pid is not None} | ours

    def _address(self, name: str) -> str:
        if name in self._programs:
            return self.url(name)
        return (
            self.kafka.bootstrap_servers
            if name == "kafka"
            else self.postgres.url(Role.APP).rpartition("@")[2].partition("/")[0]
        )

    def _addresses(self) -> dict[str, str]:
        """What a script of somebody else's needs; the door is where it is, once it is there."""
        addresses = {
            "webhook_url": self.webhook_url if "ingress" in self._programs else None,
            "webhook_secret_file": str(self.credentials.webhook_secret_file),
            "platform_url": self.url("platform") if "platform" in self._programs else None,
            "kafka_bootstrap_servers": self.kafka.bootstrap_servers,
            "postgres_readonly_url": providers.reader_url(self.postgres),
        }
        return {name: address for name, address in addresses.items() if address is not None}

    def _settings_of_commands(self) -> dict[str, str]:
        return self._addresses() | {
            "database_url": self.postgres.url(Role.APP),
            "database_owner_url": self.postgres.url(Role.OWNER),
            "edge_keys_file": str(self.credentials.edge_keys_file),
            "store_keys_file": str(self.credentials.store_keys_file),
            "catalog_file": str(programs.CATALOG),
        }

    def _write_state(self) -> None:
        state.write(self.home.folder, self.state())

    async def _notice(self) -> None:
        """Process ids change when somebody is brought back, and who reads the file wants today's."""
        written = self.state()
        while True:
            await asyncio.sleep(NOTICE_EVERY_SECONDS)
            if (seen := self.state()) != written:
                state.write(self.home.folder, seen)
                written = seen
