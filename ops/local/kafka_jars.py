"""Apache Kafka's jars: fetched once by Maven into the project's cache, and checked against the list in git.

The list (`deploy/kafka/jars.sha256`) is the lock.  Maven is asked only when the cache is not whole, so a warm start
needs no network and no Maven.
"""

import asyncio
import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from ops.local import command
from ops.local.errors import CannotStart
from ops.local.folders import CACHE, PROJECT, remove

RECIPE: Final = PROJECT / "deploy" / "kafka"
JARS: Final = CACHE / "kafka-4.3.0"
FETCH_SECONDS_MAX: Final = 600
_SAID_CHARS_MAX: Final = 2000
_COPY: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


async def fetched() -> Path:
    """The folder that holds exactly the listed jars, each with its listed sha256."""
    return await asyncio.to_thread(_fetched)


@cache
def _fetched() -> Path:
    with _one_at_a_time():
        if not is_whole(JARS):
            _fetch()
    return JARS


def listed() -> dict[str, str]:
    """The lock: each jar's name and sha256."""
    lines = (RECIPE / "jars.sha256").read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def is_whole(folder: Path) -> bool:
    """Whether *folder* holds the listed jars, each as it was when it was listed, and no other."""
    return folder.is_dir() and {jar.name: _sha256(jar) for jar in folder.glob("*.jar")} == listed()


def _sha256(jar: Path) -> str:
    with jar.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch() -> None:
    """Maven works in folders of its own, so that what counts as the cache is there whole or not at all."""
    draft, repository = CACHE / "kafka-draft", CACHE / "kafka-maven"
    remove(draft)
    try:
        _ask_maven(draft, repository)
        if not is_whole(draft):
            raise CannotStart(
                f"Maven brought jars that are not those of {RECIPE.name}/jars.sha256: {_difference(draft)}."
            )
        remove(JARS)
        draft.rename(JARS)
    finally:
        remove(draft)
        remove(repository)


def _ask_maven(into: Path, repository: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise CannotStart(
            "Apache Kafka's jars are fetched by Maven: install it (Debian: apt install maven), "
            "or give KAFKA_BOOTSTRAP_SERVERS.",
        )
    options = ["-DincludeScope=runtime", f"-DoutputDirectory={into}", f"-Dmaven.repo.local={repository}"]
    argv: list[str | Path] = [maven, "-q", "-B", "-C", "-ntp", "-f", RECIPE / "pom.xml", _COPY, *options]
    done = command.run(argv, seconds_max=FETCH_SECONDS_MAX)
    if not done.succeeded:
        raise CannotStart(f"Maven could not fetch Apache Kafka:\n{done.said[-_SAID_CHARS_MAX:]}")


def _difference(folder: Path) -> str:
    found = {jar.name: _sha256(jar) for jar in folder.glob("*.jar")}
    return ", ".join(sorted(name for name, _ in set(found.items()) ^ set(listed().items())))


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Stacks that start side by side fetch once between them."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
