"""`billing migrate`: what is in, what would be run, and one sentence when it cannot be."""

from collections.abc import Callable

import psycopg
import pytest

from tests.conftest import Database
from tests.support_ops_commands import billing, billing_json, execute


@pytest.fixture
def owner(monkeypatch: pytest.MonkeyPatch, empty_database: Database) -> Database:
    monkeypatch.setenv("DATABASE_OWNER_URL", empty_database.owner_url)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return empty_database


async def test_an_empty_database_is_brought_to_this_programs_schema_once(owner: Database) -> None:
    before = await billing_json("migrate", "status")
    assert before["current"] is None
    assert before["pending"][0] == "0001"

    assert await billing_json("migrate", "apply") == {"applied": before["pending"]}

    assert await billing_json("migrate", "status") == {"current": before["pending"][-1], "pending": []}
    assert await billing_json("migrate", "apply") == {"applied": []}


async def test_people_are_told_the_same_in_sentences(owner: Database) -> None:
    status = await billing("migrate", "status")

    assert (status.exit_code, status.stderr) == (0, "")
    assert "no schema yet" in status.stdout
    assert "`apply` would run 0001" in status.stdout
    assert "Applied 0001" in (await billing("migrate", "apply")).stdout
    assert "Nothing is to be run." in (await billing("migrate", "status")).stdout


async def test_a_server_without_our_roles_is_told_how_to_make_them(owner: Database) -> None:
    await execute(owner.superuser_url, "ALTER ROLE billing_reader RENAME TO billing_reader_elsewhere")
    try:
        answer = await billing("migrate", "apply")
    finally:
        await execute(owner.superuser_url, "ALTER ROLE billing_reader_elsewhere RENAME TO billing_reader")

    assert answer.exit_code == 1
    assert "CREATE ROLE billing_reader" in " ".join(answer.stderr.split())
    assert (await billing_json("migrate", "status"))["current"] is None


async def test_a_lock_that_is_not_to_be_had_ends_it_with_nothing_done(owner: Database) -> None:
    async with await psycopg.AsyncConnection.connect(owner.superuser_url) as somebody:
        await somebody.execute("CREATE TABLE public.accounts ()")
        answer = await billing("migrate", "apply")
        await somebody.rollback()

    assert answer.exit_code == 1
    assert answer.stderr.startswith("Somebody works on what has to be locked")
    assert (await billing_json("migrate", "status"))["current"] is None
    assert (await billing("migrate", "apply")).exit_code == 0


@pytest.mark.parametrize("step", ["status", "apply"])
async def test_a_server_that_is_away_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int], step: str
) -> None:
    monkeypatch.setenv("DATABASE_OWNER_URL", f"postgresql://billing_owner:hush@127.0.0.1:{free_port()}/billing")

    answer = await billing("migrate", step)

    assert answer.exit_code == 1
    assert answer.stderr.startswith("PostgreSQL cannot be reached")
    assert "hush" not in answer.output


async def test_an_address_of_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_OWNER_URL", "mysql://billing_owner@127.0.0.1/billing")

    answer = await billing("migrate", "apply")

    assert (answer.exit_code, answer.stderr) == (1, "DATABASE_OWNER_URL must begin with postgresql://\n")
