"""Which servers are used, and what is said when there are none."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.local import java, kafka_jars, postgres_programs, providers
from ops.local.command import Account
from ops.local.errors import CannotStart
from ops.local.kafka import LocalKafka
from ops.local.postgres import LocalPostgres, Role
from ops.local.postgres_programs import Programs
from ops.local.providers import GivenKafka, GivenPostgres
from ops.local.stack import Stack


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    databases = ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_READER_URL")
    for name in ("KAFKA_BOOTSTRAP_SERVERS", *databases, "POSTGRES_BINDIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    java.program.cache_clear()
    yield
    java.program.cache_clear()


async def test_a_server_whose_address_is_given_is_used_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker.example:9092")
    monkeypatch.setenv("DATABASE_URL", "postgresql://app:secret@db.example/billing")
    monkeypatch.setenv("DATABASE_OWNER_URL", "postgresql://owner@db.example/billing")

    kafka, postgres = providers.kafka(tmp_path), providers.postgres(tmp_path)
    await kafka.start()

    assert isinstance(kafka, GivenKafka)
    assert kafka.bootstrap_servers == "broker.example:9092"
    assert isinstance(postgres, GivenPostgres)
    assert postgres.url(Role.APP) == "postgresql://app:secret@db.example/billing"
    assert postgres.url(Role.OWNER) == "postgresql://owner@db.example/billing"
    assert postgres.url(Role.APP, "other") == "postgresql://app:secret@db.example/other"
    with pytest.raises(CannotStart, match="not ours"):
        await kafka.kill()


def test_a_login_that_writes_is_never_given_out_as_the_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://app:hunter22@db.example/billing")

    addresses = Stack(tmp_path, names=[]).state().addresses

    assert "postgres_readonly_url" not in addresses
    assert "hunter22" not in str(addresses)
    with pytest.raises(CannotStart, match="Give DATABASE_READER_URL"):
        providers.postgres(tmp_path).url(Role.READER)


def test_the_readers_own_login_is_shown_where_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://app:hunter22@db.example/billing")
    monkeypatch.setenv("DATABASE_READER_URL", "postgresql://reader@db.example/billing")

    addresses = Stack(tmp_path, names=[]).state().addresses

    assert addresses["postgres_readonly_url"] == "postgresql://reader@db.example/billing"


def test_a_kafka_that_was_given_with_a_password_is_asked_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "KAFKA_BOOTSTRAP_SERVERS": "broker.example:9092",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "KAFKA_SASL_USERNAME": "billing",
        "KAFKA_SASL_PASSWORD": "hunter22",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    options = Stack(tmp_path, names=[]).kafka_options

    assert options["bootstrap_servers"] == "broker.example:9092"
    assert options["security_protocol"] == "SASL_SSL"
    assert options["sasl_plain_password"] == "hunter22"
    assert "ssl_context" in options


@pytest.mark.usefixtures("nothing_installed")
async def test_without_java_or_an_engine_it_is_said_what_to_install(tmp_path: Path) -> None:
    kafka = providers.kafka(tmp_path)
    assert isinstance(kafka, LocalKafka)

    with pytest.raises(CannotStart, match=r"Java 17.*install.*KAFKA_BOOTSTRAP_SERVERS"):
        await kafka.start()


@pytest.mark.usefixtures("nothing_installed")
async def test_jars_that_are_not_cached_need_maven_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_jars, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(kafka_jars, "JARS", tmp_path / "cache" / "jars")
    kafka_jars._fetched.cache_clear()

    with pytest.raises(CannotStart, match=r"Maven.*install"):
        await kafka_jars.fetched()


async def test_a_jar_that_was_tampered_with_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = tmp_path / "cache" / "jars"
    shutil.copytree(await kafka_jars.fetched(), cached)
    monkeypatch.setattr(kafka_jars, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(kafka_jars, "JARS", cached)
    assert kafka_jars.is_whole(cached)

    next(iter(sorted(cached.glob("*.jar")))).write_bytes(b"somebody else's")

    assert not kafka_jars.is_whole(cached)


async def test_a_given_folder_of_programs_without_a_server_is_said(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"No PostgreSQL 15 or newer.*DATABASE_URL"):
        await LocalPostgres(tmp_path / "home", bindir=tmp_path).start()


@pytest.fixture
def unprivileged() -> Account:
    account = postgres_programs.found().account
    if account is None:
        pytest.skip("only root runs PostgreSQL as somebody else")
    return account


@pytest.fixture
def spare() -> Iterator[Path]:
    """A folder that everybody may enter; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def test_programs_in_a_closed_folder_are_brought_where_their_user_can_run_them(
    tmp_path: Path, unprivileged: Account, spare: Path
) -> None:
    bindir = postgres_programs.found().bindir
    package = bindir.parent.parent
    closed = tmp_path / "closed"
    shutil.copytree(package / bindir.parent.name, closed / package.name / bindir.parent.name)
    if package.with_name(f"{package.name}.libs").is_dir():
        shutil.copytree(package.with_name(f"{package.name}.libs"), closed / f"{package.name}.libs")
    closed.chmod(0o700)
    before = Programs(closed / package.name / bindir.parent.name / "bin", unprivileged)

    after = postgres_programs.reachable(before, spare)

    assert after.bindir.is_relative_to(spare)
    assert postgres_programs.reachable(after, spare) == after
