"""Which Kafka and which PostgreSQL: those whose addresses were given, those of an engine, else our own.

The choice is made once for each server, and whoever asked cannot tell them apart: they share the interfaces below.
"""

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit, urlunsplit

from ops.local import command, java, surroundings
from ops.local.containers import ContainerKafka, ContainerPostgres
from ops.local.errors import CannotStart
from ops.local.kafka import LocalKafka
from ops.local.postgres import DATABASE, LocalPostgres, Role
from runtime.kafka import client_options
from runtime.settings import KafkaSettings, load

ENGINE_SECONDS_MAX: Final = 5.0


class Server(Protocol):
    """A server that somebody may start, break and bring back."""

    @property
    def pid(self) -> int | None:
        """The process on this machine, if it is one of ours."""

    async def start(self) -> None:
        """Serving."""

    async def stop(self) -> None:
        """Ended in order."""

    async def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Ended as by a crash."""

    async def restart(self) -> None:
        """Serving again, under the same address, with the same data."""

    def remove(self) -> None:
        """Nothing of it is left."""


class KafkaServer(Server, Protocol):
    """Kafka, whoever runs it."""

    @property
    def bootstrap_servers(self) -> str:
        """What a client is told."""


class PostgresServer(Server, Protocol):
    """PostgreSQL, whoever runs it."""

    def url(self, role: Role, database: str = DATABASE) -> str:
        """Where *role* connects to."""


class Given:
    """Somebody else's server: we neither start it nor stop it."""

    pid = None

    async def start(self) -> None:
        """It serves already."""

    async def stop(self) -> None:
        """It stays."""

    async def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Refused: it is not ours."""
        raise CannotStart(f"A server given by its address is not ours to end with {how.name}.")

    async def restart(self) -> None:
        """Refused: it is not ours."""
        raise CannotStart("A server given by its address is not ours to restart.")

    def remove(self) -> None:
        """It stays."""


class GivenKafka(Given):
    """The Kafka of KAFKA_BOOTSTRAP_SERVERS."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers


class GivenPostgres(Given):
    """The PostgreSQL of DATABASE_URL; DATABASE_<ROLE>_URL says it better where a role has a login of its own."""

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, role: Role, database: str = DATABASE) -> str:
        """The login given for the role, else the one login we know; the database as asked for.

        The reader's must be given: who was promised a login that only reads must not get one that writes.
        """
        short = "ADMIN" if role is Role.SUPERUSER else role.removeprefix("billing_").upper()
        own = surroundings.given(f"DATABASE_{short}_URL")
        if own is None and role is Role.READER:
            raise CannotStart(f"Give DATABASE_READER_URL too, the login of {role}: reports are read through it alone.")
        parts = urlsplit(own or self._url)
        asked = parts.path if database == DATABASE else f"/{database}"
        return urlunsplit(parts._replace(path=asked))


def kafka(home: Path, port: int | None = None, memory: Sequence[str] = java.SMALL) -> KafkaServer:
    """Kafka for a stack or a test run; nothing is started yet.  *memory*: flags for the JVM of one of our own."""
    address = surroundings.given("KAFKA_BOOTSTRAP_SERVERS")
    if address:
        return GivenKafka(address)
    if _containers_wanted():
        return ContainerKafka(port)
    return LocalKafka(home, port, memory)


def postgres(
    home: Path,
    port: int | None = None,
    *,
    secrets: Path | None = None,
    durable: bool = True,
    settings: Mapping[str, str] | None = None,
) -> PostgresServer:
    """PostgreSQL for a stack or a test run; nothing is started yet.  Only one of our own takes *settings*."""
    address = surroundings.given("DATABASE_URL")
    if address:
        return GivenPostgres(address)
    if _containers_wanted():
        return ContainerPostgres(port, secrets=secrets or home / "secrets")
    bindir = surroundings.given("POSTGRES_BINDIR")
    folder = Path(bindir) if bindir else None
    return LocalPostgres(home, port, secrets=secrets, bindir=folder, durable=durable, settings=settings)


def kafka_options(server: KafkaServer) -> dict[str, Any]:
    """What a client of ours connects to *server* with: a given one may want TLS and a password, ours want neither."""
    if isinstance(server, GivenKafka):
        return client_options(load(KafkaSettings))
    return {"bootstrap_servers": server.bootstrap_servers}


def reader_url(server: PostgresServer) -> str | None:
    """Where anybody may read; None when no login was given that can do nothing else."""
    try:
        return server.url(Role.READER)
    except CannotStart:
        return None


def _containers_wanted() -> bool:
    """An engine is used where there is no JVM: with one, our own servers start quicker and die when told to."""
    return java.program() is None and _engine_answers()


def _engine_answers() -> bool:
    asked = command.run(["docker", "version", "--format", "{{.Server.Version}}"], seconds_max=ENGINE_SECONDS_MAX)
    return asked.succeeded
