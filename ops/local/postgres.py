"""PostgreSQL itself, a cluster of our own: made, served on one port, killed and brought back by tests.

Its roles are the product's: `billing_owner` migrates, `billing_app` is what processes are, `billing_reader` sees the
reports.  They are made in single-user mode before the first start, so that no client and no open door is needed.
"""

import os
import signal
import tempfile
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from ops.local import command, folders, ports, postgres_programs
from ops.local.child import Child
from ops.local.errors import CannotStart
from ops.local.postgres_programs import Programs
from ops.local.waiting import in_thread

START_SECONDS_MAX: Final = 30.0
STOP_SECONDS_MAX: Final = 10.0
CONNECTION_COUNT_MAX: Final = 100
DATABASE: Final = "billing"


class Role(StrEnum):
    """Who somebody is to the database."""

    SUPERUSER = "postgres"  # Nobody but the tests, which make databases by the hundred.
    OWNER = "billing_owner"  # Migrations.
    APP = "billing_app"  # Every process of ours.
    READER = "billing_reader"  # Dashboards and other people: the reports and nothing else.


class LocalPostgres:
    """One cluster of our own.  Its data survives `kill` and `restart`, and goes with `remove`."""

    def __init__(
        self,
        home: Path,
        port: int | None = None,
        *,
        secrets: Path | None = None,
        bindir: Path | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self.port = port or ports.free_port()
        self._secrets = secrets or home / "secrets"
        self._bindir = bindir
        self._durable = durable  # False: not safe from a power cut, and quicker.  For tests only.
        self._others = dict(settings or {})  # Instead of those below, or beside them.
        self._child: Child | None = None

    def url(self, role: Role, database: str = DATABASE) -> str:
        """Where *role* connects to."""
        return f"postgresql://{role}:{quote(self._password(role))}@{ports.HOST}:{self.port}/{database}"

    @property
    def child(self) -> Child:
        """The postmaster's process."""
        if self._child is None:
            raise CannotStart("PostgreSQL was not started.")
        return self._child

    @property
    def pid(self) -> int | None:
        """The postmaster's process id; None before its first start."""
        return None if self._child is None else self._child.pid

    async def start(self) -> None:
        """Serving; the cluster, its roles and its database are made the first time."""
        folders.private_folder(self._secrets)
        self.home.mkdir(parents=True, exist_ok=True)
        programs = self._programs()
        if not (self.data / "PG_VERSION").exists():
            await in_thread(self._make_cluster, programs)
        self._child = self._prepared(programs)
        self._child.start()
        await self._child.until(self._is_ready, START_SECONDS_MAX)

    async def stop(self) -> None:
        """Ended in order, without waiting for clients to leave."""
        if self._child is not None:
            await self._child.stop(STOP_SECONDS_MAX, ask=signal.SIGINT)

    async def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Ended as by a crash: SIGKILL, or SIGQUIT for PostgreSQL's own immediate shutdown."""
        await self.child.stop(STOP_SECONDS_MAX, ask=how)

    async def restart(self) -> None:
        """Serving again, on the same port, with the same data, whether or not it ran."""
        await self.stop()
        await self.start()

    def remove(self) -> None:
        """Its home is gone, and what had to lie elsewhere."""
        elsewhere = self._elsewhere()
        if elsewhere is not None:
            folders.remove(elsewhere)
        folders.remove(self.home)

    @property
    def data(self) -> Path:
        """The cluster's own folder: in the home, else where the unprivileged user can reach it."""
        return (self._elsewhere() or self.home) / "data"

    def _elsewhere(self) -> Path | None:
        """The open folder that stands in for a home the unprivileged user cannot enter; noted in the home."""
        note = self.home / "elsewhere"
        return Path(note.read_text(encoding="utf-8")) if note.exists() else None

    def _programs(self) -> Programs:
        programs = postgres_programs.found(self._bindir)
        if programs.account is None:
            return programs
        if self._elsewhere() is None and not postgres_programs.can_enter(self.home, programs.account):
            self._move_elsewhere()
        return postgres_programs.reachable(programs, self._open_folder() / "programs")

    def _move_elsewhere(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="billstream-postgres-"))
        folder.chmod(0o711)
        folders.write_privately(self.home / "elsewhere", str(folder))

    def _open_folder(self) -> Path:
        return self._elsewhere() or self.home

    def _make_cluster(self, programs: Programs) -> None:
        self.data.mkdir(mode=0o700)
        if programs.account is not None:
            os.chown(self.data, programs.account.user, programs.account.group)
        words = ["--username", Role.SUPERUSER, "--auth", "reject", "--encoding", "UTF8", "--locale", "C"]
        self._run(programs, "initdb", "-D", ".", "--no-sync", *words)
        (self.data / "pg_hba.conf").write_text(_WHO_MAY_CONNECT, encoding="utf-8")
        self._run(
            programs,
            "postgres",
            "--single",
            "-D",
            ".",
            "-c",
            "exit_on_error=on",
            "postgres",
            told=self._first_statements(),
        )

    def _first_statements(self) -> str:
        """Statement by line, as single-user mode reads them."""
        return "".join(f"{statement}\n" for statement in role_statements(self._password))

    def _password(self, role: Role) -> str:
        return folders.kept_secret(self._secrets / f"{role}_password")

    def _run(self, programs: Programs, name: str, *words: str, told: str = "") -> None:
        done = command.run(programs.command(name, *words), folder=self.data, account=programs.account, told=told)
        if not done.succeeded:
            raise CannotStart(f"PostgreSQL's {name} failed:\n{done.said}")

    def _prepared(self, programs: Programs) -> Child:
        options = [word for name, value in self._settings().items() for word in ("-c", f"{name}={value}")]
        return Child(
            "postgres",
            programs.command("postgres", "-D", ".", *options),
            log=self.home / "postgres.log",
            folder=self.data,
            account=programs.account,
            last_signal=signal.SIGQUIT,  # Its own immediate shutdown: its shared memory and its children go with it.
        )

    def _settings(self) -> dict[str, Any]:
        lean = {
            "listen_addresses": ports.HOST,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": CONNECTION_COUNT_MAX,
            "shared_buffers": "64MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        # A commit waits for its WAL all the same (synchronous_commit): SIGKILL of the server loses nothing.
        return lean | ({} if self._durable else {"fsync": "off", "full_page_writes": "off"}) | self._others

    def _is_ready(self) -> bool:
        """The postmaster writes `ready` into its pid file itself: no client, no password, no race with the port."""
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > _STATUS_LINE and lines[0] == str(self.pid) and lines[_STATUS_LINE].strip() == "ready"


def role_statements(password: Callable[[Role], str]) -> list[str]:
    """What turns an empty cluster into ours.  Passwords are URL-safe base64: they need no quoting."""
    return [
        f"ALTER ROLE {Role.SUPERUSER} PASSWORD '{password(Role.SUPERUSER)}'",
        *(f"CREATE ROLE {role} LOGIN PASSWORD '{password(role)}'" for role in _PRODUCT_ROLES),
        f"CREATE DATABASE {DATABASE} OWNER {Role.OWNER}",
        f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {DATABASE} TO {Role.APP}, {Role.READER}",
    ]


_STATUS_LINE: Final = 7
_WHO_MAY_CONNECT: Final = f"host all all {ports.HOST}/32 scram-sha-256\n"
_PRODUCT_ROLES: Final = (Role.OWNER, Role.APP, Role.READER)
