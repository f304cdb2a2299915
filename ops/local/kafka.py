"""Apache Kafka itself, one KRaft node on the JVM, lean enough to be started by a test.

A broker has a home (its settings, its log files, its data) and two ports that stay the same over restarts.  The class
data archive that halves its start is made once, by the first broker that is stopped in order, and shared by all.
"""

import hashlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ops.local import command, java, kafka_jars, ports
from ops.local.child import Child
from ops.local.errors import CannotStart
from ops.local.folders import CACHE, remove
from ops.local.waiting import in_thread

START_SECONDS_MAX: Final = 60.0
STOP_SECONDS_MAX: Final = 10.0  # Making the class data archive takes two or three of them, once.
_ENDED_BY_SIGTERM: Final = 143  # A JVM that shut down in order says so.
_CLUSTER_ID: Final = "billstreamLocalKafka00"  # 22 characters of base64url: Kafka wants a UUID.


class LocalKafka:
    """One broker of our own.  Its data survives `kill` and `restart`, and goes with `remove`."""

    def __init__(self, home: Path, port: int | None = None, memory: Sequence[str] = java.SMALL) -> None:
        self.home = home
        self._memory = memory
        self.port = port or ports.free_port()
        self._controller_port = ports.free_port()
        self._child: Child | None = None
        self._archive_draft: Path | None = None

    @property
    def bootstrap_servers(self) -> str:
        """What a client is told."""
        return f"{ports.HOST}:{self.port}"

    @property
    def child(self) -> Child:
        """The broker's process."""
        if self._child is None:
            raise CannotStart("Kafka was not started.")
        return self._child

    @property
    def pid(self) -> int | None:
        """The broker's process id; None before its first start."""
        return None if self._child is None else self._child.pid

    async def start(self) -> None:
        """Serving: the port is open and the broker answers for itself."""
        jars = await kafka_jars.fetched()
        machine = java.required()
        self._write_settings()
        if not (self.home / "data" / "meta.properties").exists():
            await in_thread(self._format, machine, jars)
        self._child = self._prepared(machine, jars)
        self._child.start()
        await self._child.until(lambda: ports.is_open(self.port), START_SECONDS_MAX)
        await self._answers()

    async def stop(self) -> None:
        """Ended in order; killed when it does not end (the last broker of a quorum may wait for a peer for ever)."""
        if self._child is not None:
            await self._child.stop(STOP_SECONDS_MAX)
            self._keep_archive()

    async def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Ended as by a crash."""
        await self.child.stop(STOP_SECONDS_MAX, ask=how)

    async def restart(self) -> None:
        """Serving again, on the same port, with the same data, whether or not it ran."""
        await self.stop()
        await self.start()

    def remove(self) -> None:
        """Its home is gone."""
        remove(self.home)

    def _prepared(self, machine: Path, jars: Path) -> Child:
        flags = [*java.flags(machine, self._memory), *self._class_data(machine)]
        return Child(
            "kafka",
            [*_command(machine, jars, flags), "kafka.Kafka", self._settings_file()],
            log=self.home / "kafka.log",
        )

    def _class_data(self, machine: Path) -> list[str]:
        """Use the archive of class data, or make it: at the stop of this broker, under a name of its own."""
        archive = _archive(machine)
        if archive.exists():
            return [f"-XX:SharedArchiveFile={archive}"]
        self._archive_draft = archive.with_name(f"{archive.name}.{os.getpid()}.{self.port}")
        return [f"-XX:ArchiveClassesAtExit={self._archive_draft}"]

    def _keep_archive(self) -> None:
        """A broker that was killed may have left half of it."""
        draft, self._archive_draft = self._archive_draft, None
        if draft is None or not draft.exists():
            return
        if self.child.exit_status == _ENDED_BY_SIGTERM:
            draft.replace(_archive(java.required()))
        else:
            remove(draft)

    def _settings_file(self) -> Path:
        return self.home / "server.properties"

    def _format(self, machine: Path, jars: Path) -> None:
        flags = [*java.flags(machine), f"-XX:SharedArchiveFile={_archive(machine)}"]
        words: list[str | Path] = ["format", "--cluster-id", _CLUSTER_ID, "--config", self._settings_file()]
        done = command.run([*_command(machine, jars, flags), "kafka.tools.StorageTool", *words])
        if not done.succeeded:
            raise CannotStart(f"Kafka could not format its storage:\n{done.said}")

    def _write_settings(self) -> None:
        """On each start: data that was kept may be served on other ports than before."""
        self.home.mkdir(parents=True, exist_ok=True)
        settings = "".join(f"{name}={value}\n" for name, value in self._settings().items())
        self._settings_file().write_text(settings, encoding="utf-8")

    def _settings(self) -> dict[str, str | int]:
        return _LEAN | {
            "listeners": f"PLAINTEXT://{ports.HOST}:{self.port},CONTROLLER://{ports.HOST}:{self._controller_port}",
            "controller.quorum.voters": f"1@{ports.HOST}:{self._controller_port}",
            "log.dirs": str(self.home / "data"),
        }

    async def _answers(self) -> None:
        """An open port is half the truth: the broker must also count itself as alive."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers, request_timeout_ms=5000)
        try:
            await admin.start()
            await admin.list_topics()
        except KafkaError as failure:
            raise CannotStart(f"Kafka opened its port but does not answer: {failure}.") from failure
        finally:
            await admin.close()


_LEAN: Final[dict[str, str | int]] = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # Never created on the fly: models/topics.py is the one list.
    "auto.create.topics.enable": "false",
    "num.partitions": 1,
    # One node: internal topics cannot have more than one copy, and need no more than one partition.
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 1,
    # A group is complete when its members are there, not three seconds later; tests want short sessions.
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 500,
    # A killed broker keeps its port closed until its old registration expires: 9 s by default.
    "broker.session.timeout.ms": 1000,
    "broker.heartbeat.interval.ms": 250,
    # Memory and threads for a laptop, not for a cluster; the dedupe buffer alone is 128 MB by default.
    "log.cleaner.dedupe.buffer.size": 2_097_152,
    "log.cleaner.io.buffer.size": 65_536,
    "num.network.threads": 2,
    "num.io.threads": 4,
    "num.replica.fetchers": 1,
    "num.recovery.threads.per.data.dir": 1,
    "background.threads": 2,
    "log.index.size.max.bytes": 1_048_576,
    "controlled.shutdown.enable": "false",
}


def _command(machine: Path, jars: Path, flags: Sequence[str]) -> list[str]:
    logging = kafka_jars.RECIPE / "log4j2.properties"
    # The order of the class path is part of the class data archive.
    path = ":".join(str(jar) for jar in sorted(jars.glob("*.jar")))
    return [str(machine), *flags, f"-Dlog4j2.configurationFile={logging}", "-cp", path]


def _archive(machine: Path) -> Path:
    """Where the class data of these jars for this JVM is kept; another JVM, path or list of jars has another."""
    made_of = f"{machine.resolve()} {machine.resolve().stat().st_mtime_ns} {kafka_jars.JARS} {kafka_jars.listed()}"
    return CACHE / f"kafka-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}.jsa"
