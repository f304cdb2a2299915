"""API keys: who may ask the platform's door for what.  No secret is ever here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from models.api_keys import ApiKey
from store.arrays import Texts
from store.postgres import Connection, Database

FIND: Final[LiteralString] = """
    SELECT key_id, lineage, name, livemode, scopes, created_at, expires_at, revoked_at, last_used_at, secret_sha256
    FROM api_keys
    WHERE key_id = %(key_id)s
"""

MARK: Final[LiteralString] = """
    UPDATE api_keys SET last_used_at = greatest(last_used_at, %(now)s) WHERE key_id = %(key_id)s
"""

CREATE: Final[LiteralString] = """
    INSERT INTO api_keys (key_id, lineage, name, secret_sha256, livemode, scopes, created_at, expires_at)
    VALUES (%(key_id)s, %(lineage)s, %(name)s, %(secret_sha256)s, %(livemode)s, %(scopes)b::text[], %(created_at)s,
            %(expires_at)s)
"""

SUCCEED: Final[LiteralString] = """
    WITH before AS (
        UPDATE api_keys SET expires_at = least(expires_at, %(old_expires_at)s)
        WHERE key_id = %(old_key_id)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %(now)s)
        RETURNING lineage, name, livemode, scopes
    )
    INSERT INTO api_keys (key_id, lineage, name, secret_sha256, livemode, scopes, created_at, expires_at)
    SELECT %(key_id)s, lineage, name, %(secret_sha256)s, livemode, scopes, %(now)s, %(expires_at)s
    FROM before
    RETURNING key_id, lineage, name, livemode, scopes, created_at, expires_at, revoked_at, last_used_at
"""

REVOKE: Final[LiteralString] = """
    UPDATE api_keys SET revoked_at = %(now)s WHERE key_id = %(key_id)s AND revoked_at IS NULL
"""

LIST: Final[LiteralString] = """
    SELECT key_id, lineage, name, livemode, scopes, created_at, expires_at, revoked_at, last_used_at
    FROM api_keys
    ORDER BY created_at DESC, key_id
    LIMIT %(rows_max)s
"""


@dataclass(frozen=True, slots=True)
class Successor:
    """A key that is to take another's place, and when each of the two ends."""

    key_id: str
    secret_sha256: bytes
    expires_at: datetime | None
    old_expires_at: datetime


async def find(connection: Connection, key_id: str) -> tuple[ApiKey, bytes] | None:
    """The key of this id, and the SHA-256 of its secret; None when there is none."""
    row = await (await connection.execute(FIND, {"key_id": key_id})).fetchone()
    return None if row is None else (_key(row), bytes(row["secret_sha256"]))


async def mark_used(connection: Connection, key_id: str, now: datetime) -> None:
    """Remember that the key was used now."""
    await connection.execute(MARK, {"key_id": key_id, "now": now})


async def create(database: Database, key: ApiKey, secret_sha256: bytes) -> None:
    """Keep a new key."""
    scopes = Texts(sorted(scope.value for scope in key.scopes))
    about = key.model_dump(include={"key_id", "lineage", "name", "livemode", "created_at", "expires_at"})
    async with database.connection() as connection:
        await connection.execute(CREATE, about | {"secret_sha256": secret_sha256, "scopes": scopes})


async def succeed(database: Database, old_key_id: str, successor: Successor, now: datetime) -> ApiKey | None:
    """The key that takes the place of a valid one, with its name and its scopes; None when that one is not valid."""
    parameters = {
        "old_key_id": old_key_id,
        "now": now,
        "key_id": successor.key_id,
        "secret_sha256": successor.secret_sha256,
        "expires_at": successor.expires_at,
        "old_expires_at": successor.old_expires_at,
    }
    async with database.connection() as connection:
        row = await (await connection.execute(SUCCEED, parameters)).fetchone()
    return None if row is None else _key(row)


async def revoke(database: Database, key_id: str, now: datetime) -> bool:
    """Whether there was a key to be revoked: it opens nothing from the next request on."""
    async with database.connection() as connection:
        return (await connection.execute(REVOKE, {"key_id": key_id, "now": now})).rowcount == 1


async def listed(database: Database, rows_max: int) -> list[ApiKey]:
    """The keys, the newest first."""
    async with database.connection() as connection:
        return [_key(row) for row in await (await connection.execute(LIST, {"rows_max": rows_max})).fetchall()]


def _key(row: Mapping[str, Any]) -> ApiKey:
    return ApiKey.model_validate({name: row[name] for name in ApiKey.model_fields})
