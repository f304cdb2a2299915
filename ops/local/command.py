"""Programs of other people, run to their end: java, mvn, initdb, docker."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.local import surroundings


@dataclass(frozen=True, slots=True)
class Account:
    """The user and group a program runs as, where it must not be ours."""

    user: int
    group: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended and what it said."""

    succeeded: bool
    said: str


def run(
    argv: Sequence[str | Path],
    *,
    folder: Path | None = None,
    account: Account | None = None,
    told: str = "",
    seconds_max: float = 60.0,
) -> Outcome:
    """The outcome of *argv*.  A program that is not there, may not be run or takes too long did not succeed."""
    try:
        done = subprocess.run(  # noqa: S603  # Our own argv, never a shell.
            [str(word) for word in argv],
            input=told,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=surroundings.handed_on(),
            cwd=folder,
            text=True,
            timeout=seconds_max,
            check=False,
            **as_other(account),
        )
    except (OSError, subprocess.TimeoutExpired) as failure:
        return Outcome(succeeded=False, said=str(failure))
    return Outcome(succeeded=done.returncode == 0, said=done.stdout)


def as_other(account: Account | None) -> dict[str, Any]:
    """The words by which subprocess starts a program as somebody else; none for ourselves."""
    if account is None:
        return {}
    return {"user": account.user, "group": account.group, "extra_groups": []}
