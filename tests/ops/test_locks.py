"""What is installed is what was locked, from wherever the installer's own settings point."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "deploy" / "requirements").glob("*.txt"))


def _packages(text: str) -> list[str]:
    """Each requirement with its continuation lines, joined."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def test_there_is_a_lock_for_each_purpose() -> None:
    assert {lock.stem for lock in LOCKS} >= {"bootstrap", "runtime", "dev"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_each_package_is_pinned_and_hashed(lock: Path) -> None:
    packages = _packages(lock.read_text())

    assert packages
    for package in packages:
        assert re.match(r"^[\w.\[\]-]+==\S+ ", package), package
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", package), package


@pytest.mark.parametrize("lock", [*LOCKS, ROOT / "deploy" / "kafka" / "pom.xml"], ids=lambda lock: lock.name)
def test_no_lock_names_a_host(lock: Path) -> None:
    text = lock.read_text()

    assert "://" not in text
    assert not re.search(r"^\s*(-i|--index-url|--extra-index-url|--find-links)\b", text, re.MULTILINE)


def test_each_jar_of_kafka_is_locked_by_its_sha256() -> None:
    lines = (ROOT / "deploy" / "kafka" / "jars.sha256").read_text().splitlines()

    assert len(lines) > 30
    assert all(re.fullmatch(r"[0-9a-f]{64}  \S+\.jar", line) for line in lines)


def test_what_runs_in_production_is_what_was_tested() -> None:
    dev = set(_packages((ROOT / "deploy" / "requirements" / "dev.txt").read_text()))

    assert set(_packages((ROOT / "deploy" / "requirements" / "runtime.txt").read_text())) <= dev
