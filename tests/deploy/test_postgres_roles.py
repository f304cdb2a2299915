import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from psycopg import errors

from ops.local.postgres import LocalPostgres, Role
from tests.support_compose import make_secrets
from tests.support_roles import OURS, run_roles_sql, start_bare

Connect = Callable[[str], psycopg.Connection]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bare(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalPostgres]:
    cluster = await start_bare(tmp_path_factory.mktemp("roles") / "postgres")
    yield cluster
    await cluster.stop()
    cluster.remove()


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_secrets(tmp_path_factory.mktemp("made") / "secrets")


@pytest.fixture(scope="module")
def cluster(bare: LocalPostgres, secrets: Path) -> LocalPostgres:
    made = run_roles_sql(bare, secrets)
    assert made.returncode == 0, made.stderr
    return bare


@pytest.fixture(scope="module")
def connect(cluster: LocalPostgres, secrets: Path) -> Connect:
    def connect(role: str) -> psycopg.Connection:
        password = (secrets / f"{role}_password").read_text()
        return psycopg.connect(
            host="127.0.0.1", port=cluster.port, dbname="billing", user=role, password=password, autocommit=True
        )

    return connect


@pytest.mark.parametrize("role", OURS)
def test_a_role_comes_in_with_the_password_of_its_secret(connect: Connect, role: str) -> None:
    with connect(role) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (role,)


def test_only_the_owner_makes_schemas(connect: Connect) -> None:
    with connect("billing_owner") as owner:
        owner.execute("CREATE SCHEMA elsewhere")
    for role in (Role.APP, Role.READER):
        with connect(role) as other, pytest.raises((errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction)):
            other.execute("CREATE SCHEMA mine")


def test_a_reader_writes_nothing_even_where_a_grant_is_too_wide(connect: Connect) -> None:
    with connect("billing_owner") as owner:
        owner.execute("CREATE TABLE public.too_open (one integer)")
        owner.execute("GRANT ALL ON public.too_open TO billing_reader")
    with connect("billing_reader") as reader, pytest.raises(errors.ReadOnlySqlTransaction):
        reader.execute("INSERT INTO public.too_open VALUES (1)")


def test_the_migrate_service_needs_its_secret_file_and_shows_a_reader_the_reports_alone(
    cluster: LocalPostgres, connect: Connect, secrets: Path, tmp_path: Path
) -> None:
    url_file = tmp_path / "database_url_owner"
    url = (secrets / "database_url_owner").read_text()
    url_file.write_text(url.replace("@postgres:5432/", f"@127.0.0.1:{cluster.port}/"))

    migrated = subprocess.run(
        [Path(sys.executable).with_name("billing"), "migrate", "apply"],
        env={"PATH": os.environ["PATH"], "DATABASE_URL_FILE": str(url_file)},
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )

    assert migrated.returncode == 0, migrated.stderr
    with connect("billing_reader") as reader:
        assert reader.execute("SELECT count(*) FROM reports.facts").fetchone() == (0,)
        with pytest.raises(errors.InsufficientPrivilege):
            reader.execute("SELECT count(*) FROM journal")


def test_no_role_of_ours_can_make_itself_more_than_it_is(cluster: LocalPostgres) -> None:
    with psycopg.connect(cluster.url(Role.SUPERUSER, "postgres")) as connection:
        mighty = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE 'billing%'"
            " AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)"
        ).fetchall()

    assert mighty == []


def test_a_role_that_nobody_named_does_not_come_in(cluster: LocalPostgres) -> None:
    with psycopg.connect(cluster.url(Role.SUPERUSER, "postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(host="127.0.0.1", port=cluster.port, dbname="billing", user="stranger", password="stranger")


def test_a_first_start_that_fails_writes_no_password_into_the_log(cluster: LocalPostgres, secrets: Path) -> None:
    again = run_roles_sql(cluster, secrets)  # The roles are there: the first statement with a password fails.

    log = (cluster.home / "postgres.log").read_text()
    assert 'role "billing_owner" already exists' in again.stderr
    assert 'role "billing_owner" already exists' in log
    assert [path.name for path in secrets.iterdir() if path.read_text() in log] == []
