"""The same two servers in containers, where a Docker engine answers and no JVM is installed.

The ports on the host are fixed before the start, because Kafka must tell its clients the address they came by, and
because a server that is restarted keeps its address.
"""

import asyncio
import signal
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from ops.local import folders, ports
from ops.local.errors import CannotStart
from ops.local.postgres import DATABASE, Role, role_statements
from ops.local.waiting import until

KAFKA_IMAGE: Final = "apache/kafka:4.3.0"
POSTGRES_IMAGE: Final = "postgres:18.6-trixie"
START_SECONDS_MAX: Final = 120.0


class _Container(ABC):
    """One container with one port of the host's."""

    pid = None  # The engine's, not ours.

    def __init__(self, image: str, inner_port: int, port: int | None) -> None:
        self.port = port or ports.free_port()
        self._image = image
        self._inner_port = inner_port
        self._running: Any = None

    async def start(self) -> None:
        """Serving."""
        if self._running is None:
            self._running = await asyncio.to_thread(self._run)
        else:
            await asyncio.to_thread(self._running.get_wrapped_container().start)
        await self._until_ready()

    async def stop(self) -> None:
        """Ended in order; the container, and with it the data, stays until `remove`."""
        if self._running is not None:
            await asyncio.to_thread(self._running.get_wrapped_container().stop)

    async def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Ended as by a crash."""
        await asyncio.to_thread(self._running.get_wrapped_container().kill, how.name)

    async def restart(self) -> None:
        """Serving again, on the same port, with the same data."""
        await self.stop()
        await self.start()

    def remove(self) -> None:
        """The container and its volumes are gone."""
        if self._running is not None:
            self._running.stop()

    def _run(self) -> Any:
        # Imported late: it asks for an engine's client library at import.
        from testcontainers.core.container import DockerContainer

        container = DockerContainer(self._image).with_bind_ports(f"{self._inner_port}/tcp", self.port)
        for name, value in self._environment().items():
            container.with_env(name, value)
        return container.start()

    @abstractmethod
    def _environment(self) -> dict[str, str]:
        """What the image is told."""

    @abstractmethod
    async def _is_ready(self) -> bool:
        """Whether it may be used."""

    async def _until_ready(self) -> None:
        try:
            await until(self._is_ready, START_SECONDS_MAX, every_seconds=0.2)
        except TimeoutError:
            raise CannotStart(f"The container of {self._image} was not ready in time.") from None

    async def _succeeds(self, *command: str) -> bool:
        status, _ = await asyncio.to_thread(self._running.exec, list(command))
        return bool(status == 0)


class ContainerKafka(_Container):
    """Apache Kafka's own image, one KRaft node."""

    def __init__(self, port: int | None = None) -> None:
        super().__init__(KAFKA_IMAGE, 9092, port)

    @property
    def bootstrap_servers(self) -> str:
        """What a client is told."""
        return f"{ports.HOST}:{self.port}"

    def _environment(self) -> dict[str, str]:
        listeners = "OUTSIDE://:9092,INSIDE://:19092,CONTROLLER://:9093"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": listeners,
            "advertised.listeners": f"OUTSIDE://{ports.HOST}:{self.port},INSIDE://localhost:19092",
            "listener.security.protocol.map": "OUTSIDE:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "INSIDE",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": "1@localhost:9093",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "500",
            "broker.session.timeout.ms": "1000",
            "broker.heartbeat.interval.ms": "250",
        }
        return {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()}

    async def _is_ready(self) -> bool:
        tool = "/opt/kafka/bin/kafka-broker-api-versions.sh"
        return await self._succeeds(tool, "--bootstrap-server", "localhost:19092")


class ContainerPostgres(_Container):
    """PostgreSQL's official image, with our roles and our database."""

    def __init__(self, port: int | None = None, *, secrets: Path) -> None:
        super().__init__(POSTGRES_IMAGE, 5432, port)
        self._secrets = secrets

    def url(self, role: Role, database: str = DATABASE) -> str:
        """Where *role* connects to."""
        return f"postgresql://{role}:{quote(self._password(role))}@{ports.HOST}:{self.port}/{database}"

    async def start(self) -> None:
        """Serving; roles and database are made the first time."""
        made = self._running is not None
        await super().start()
        if not made:
            for statement in role_statements(self._password):
                if not await self._succeeds("psql", "-U", Role.SUPERUSER, "-v", "ON_ERROR_STOP=1", "-c", statement):
                    raise CannotStart("PostgreSQL's container refused to make our roles and database.")

    def _password(self, role: Role) -> str:
        return folders.kept_secret(self._secrets / f"{role}_password")

    def _environment(self) -> dict[str, str]:
        return {"POSTGRES_PASSWORD": self._password(Role.SUPERUSER)}

    async def _is_ready(self) -> bool:
        # Over TCP: while the image prepares its cluster a first server answers on the socket only.
        return await self._succeeds("pg_isready", "-h", "127.0.0.1", "-U", Role.SUPERUSER)
