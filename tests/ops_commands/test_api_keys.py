"""`billing api-keys`: a key is shown once, opens what it allows, and ends when it is told to."""

import psycopg
import pytest

from models import api_keys
from store import api_keys as rows
from store.postgres import Database as StoreDatabase
from tests.conftest import Database
from tests.support_ops_commands import billing, billing_json

READ = ("--scope", "accounts:read")

pytestmark = pytest.mark.usefixtures("shell")


async def kept(database: Database, token: str) -> bool:
    """Whether the key that a token claims to be is known, and the token proves it."""
    claim = api_keys.read(token)
    assert claim is not None
    async with StoreDatabase(database.app_url, application_name="tests") as app, app.connection() as connection:
        found = await rows.find(connection, claim.key_id)
    return found is not None and found[1] == claim.secret_sha256


async def test_a_key_is_shown_once_and_its_secret_is_nowhere(database: Database) -> None:
    made = await billing_json("api-keys", "create", "shop", *READ, "--scope", "refunds:write")
    listed = await billing("api-keys", "ls", "--json")

    assert await kept(database, made["token"])
    assert made["scopes"] == ["accounts:read", "refunds:write"]
    assert made["token"] not in listed.output
    with psycopg.connect(database.superuser_url) as superuser:
        shown = superuser.execute("SELECT api_keys::text FROM api_keys").fetchall()
    assert len(shown) == 1
    assert made["token"].rpartition("_")[2] not in str(shown)


async def test_people_can_copy_a_key_from_a_narrow_terminal(database: Database) -> None:
    answer = await billing("api-keys", "create", "shop", *READ, "--expires-in-days", "30")

    assert answer.exit_code == 0
    assert await kept(database, answer.stdout.splitlines()[-1])
    table = (await billing("api-keys", "ls")).stdout
    assert "valid until" in " ".join(table.split())
    assert max(map(len, table.splitlines())) <= 80


async def test_a_key_allows_something(database: Database) -> None:
    assert (await billing("api-keys", "create", "shop")).exit_code == 2
    assert (await billing("api-keys", "create", "shop", "--scope", "everything")).exit_code == 2
    assert (await billing("api-keys", "create", " ", *READ)).exit_code == 2


async def test_a_rotated_key_has_a_successor_of_its_line_and_ends_after_its_grace(database: Database) -> None:
    first = await billing_json("api-keys", "create", "shop", *READ)
    second = await billing_json("api-keys", "rotate", first["key_id"])
    third = await billing_json("api-keys", "rotate", second["key_id"], "--grace-hours", "0")
    listed = {key["key_id"]: key for key in await billing_json("api-keys", "ls")}

    assert {key["lineage"] for key in listed.values()} == {first["key_id"]}
    assert {tuple(key["scopes"]) for key in listed.values()} == {("accounts:read",)}
    assert first["expires_at"] is None
    assert listed[first["key_id"]]["expires_at"] is not None
    assert third["expires_at"] is None
    assert await kept(database, third["token"])

    late = await billing("api-keys", "rotate", second["key_id"])
    assert late.exit_code == 1, "an expired key has no successor"


async def test_a_key_is_revoked_once() -> None:
    made = await billing_json("api-keys", "create", "shop", *READ)

    assert await billing_json("api-keys", "revoke", made["key_id"]) == {"revoked": made["key_id"]}
    assert (await billing_json("api-keys", "ls"))[0]["revoked_at"] is not None
    assert (await billing("api-keys", "revoke", made["key_id"])).exit_code == 1
    assert (await billing("api-keys", "rotate", made["key_id"])).exit_code == 1
    assert "There is no key" in (await billing("api-keys", "revoke", "key_none")).stderr
