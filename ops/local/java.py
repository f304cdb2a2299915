"""The JVM that runs the local Kafka: found, and new enough."""

import re
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from ops.local import command, surroundings
from ops.local.errors import CannotStart

VERSION_MIN: Final = 17
_UNSAFE_MEMORY_ASKS_SINCE: Final = 24

SMALL: Final = ("-XX:+UseSerialGC", "-Xms64m", "-Xmx256m")
"""A heap for a test or a demo: the machine has other things in its memory."""


@cache
def program() -> Path | None:
    """The `java` of JAVA_HOME, else of PATH; None where there is none or it does not run."""
    home = surroundings.given("JAVA_HOME")
    found = Path(home) / "bin" / "java" if home else shutil.which("java")
    return Path(found) if found and version(Path(found)) else None


@cache
def version(java: Path) -> int | None:
    """Its feature release (17, 21, 25); None when it does not run (a stub that only says how to install one)."""
    asked = command.run([java, "-version"])
    found = re.search(r'version "(\d+)', asked.said)
    return int(found[1]) if found and asked.succeeded else None


def required() -> Path:
    """A `java` that Kafka 4 runs on; CannotStart says what to install."""
    java = program()
    if java is None or (version(java) or 0) < VERSION_MIN:
        raise CannotStart(
            f"Apache Kafka needs Java {VERSION_MIN} or newer: install it "
            "(Debian: apt install openjdk-17-jre-headless), or give KAFKA_BOOTSTRAP_SERVERS.",
        )
    return java


def flags(java: Path, memory: Sequence[str] = SMALL) -> list[str]:
    """A quick start, and memory as it is given; no more."""
    lean = [*memory, "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xlog:disable"]
    newer = (version(java) or 0) >= _UNSAFE_MEMORY_ASKS_SINCE
    return [*lean, "--sun-misc-unsafe-memory-access=allow"] if newer else lean
