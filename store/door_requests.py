"""What the platform's door was asked to do: each Idempotency-Key once, with its answer.

Whoever claims a request has it for a while, and then another may: a process that died holds nobody up for ever.  Who
was overtaken cannot keep an answer any more.  Answers hold links that open somebody's billing, so they are sealed.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, LiteralString

from store.postgres import Connection

CLAIM: Final[LiteralString] = """
    WITH claimed AS (
        INSERT INTO door_requests AS known
            (lineage, idempotency_key, key_id, request_sha256, began_at, claim_id, claimed_until)
        VALUES (%(lineage)s, %(idempotency_key)s, %(key_id)s, %(request_sha256)s, clock_timestamp(), %(claim_id)s,
                clock_timestamp() + make_interval(secs => %(claim_seconds)s))
        ON CONFLICT (lineage, idempotency_key) DO UPDATE
        SET claim_id = excluded.claim_id, claimed_until = excluded.claimed_until, again = true
        WHERE known.status IS NULL AND known.claimed_until <= clock_timestamp()
          AND known.request_sha256 = excluded.request_sha256
        RETURNING request_sha256, again, target, status, answer, sealed_with
    )
    SELECT true AS mine, request_sha256, again, target, status, answer, sealed_with FROM claimed
    UNION ALL
    SELECT false, request_sha256, again, target, status, answer, sealed_with
    FROM door_requests
    WHERE lineage = %(lineage)s AND idempotency_key = %(idempotency_key)s AND NOT EXISTS (SELECT FROM claimed)
"""

AIM: Final[LiteralString] = """
    UPDATE door_requests SET target = %(target)s
    WHERE lineage = %(lineage)s AND idempotency_key = %(idempotency_key)s AND claim_id = %(claim_id)s
"""

KEEP: Final[LiteralString] = """
    UPDATE door_requests SET status = %(status)s, answer = %(answer)s, sealed_with = %(sealed_with)s
    WHERE lineage = %(lineage)s AND idempotency_key = %(idempotency_key)s AND claim_id = %(claim_id)s
      AND status IS NULL
"""

LET_GO: Final[LiteralString] = """
    UPDATE door_requests SET claimed_until = clock_timestamp()
    WHERE lineage = %(lineage)s AND idempotency_key = %(idempotency_key)s AND claim_id = %(claim_id)s
      AND status IS NULL
"""

FORGET: Final[LiteralString] = """
    DELETE FROM door_requests
    WHERE (lineage, idempotency_key) IN (
        SELECT lineage, idempotency_key FROM door_requests
        WHERE began_at < %(before)s
        ORDER BY began_at
        LIMIT %(rows_max)s
        FOR UPDATE SKIP LOCKED)
"""


class NotOurs(StrEnum):
    """Why a request is not to be carried out by whoever asked for it."""

    IN_FLIGHT = "in_flight"  # Somebody else is at it.
    ANOTHER = "another"  # The key was used for something else.


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: whose, under which key, and what in a hash.  *claim_id* names who carries it out."""

    lineage: str
    idempotency_key: str
    key_id: str
    request_sha256: bytes
    claim_id: str

    def parameters(self) -> dict[str, Any]:
        """As statements take them."""
        return {"lineage": self.lineage, "idempotency_key": self.idempotency_key, "claim_id": self.claim_id}

    @property
    def seal_context(self) -> bytes:
        """What its answer is bound to."""
        return b"\0".join([self.lineage.encode(), self.idempotency_key.encode(), self.request_sha256])


@dataclass(frozen=True, slots=True)
class Claimed:
    """The request is to be carried out."""

    again: bool  # Somebody has tried before, and may have got anywhere.
    target: str | None  # What that one meant to act on.


@dataclass(frozen=True, slots=True)
class Kept:
    """The request was answered."""

    status: int
    answer: bytes
    sealed_with: str


async def claim(connection: Connection, asked: Asked, claim_seconds: float) -> Claimed | Kept | NotOurs:
    """Take the request on, unless it was answered, somebody is at it, or its key was used for another."""
    about = {"key_id": asked.key_id, "request_sha256": asked.request_sha256, "claim_seconds": claim_seconds}
    row = await (await connection.execute(CLAIM, asked.parameters() | about)).fetchone()
    if row is None:  # Somebody came in between: as yet we see nothing of it.
        return NotOurs.IN_FLIGHT
    if row["mine"]:
        return Claimed(row["again"], row["target"])
    if bytes(row["request_sha256"]) != asked.request_sha256:
        return NotOurs.ANOTHER
    return NotOurs.IN_FLIGHT if row["status"] is None else Kept(row["status"], row["answer"], row["sealed_with"])


async def aim(connection: Connection, asked: Asked, target: str) -> None:
    """Remember what the request is about to act on, for whoever tries again."""
    await connection.execute(AIM, asked.parameters() | {"target": target})


async def keep(connection: Connection, asked: Asked, kept: Kept) -> None:
    """Keep the answer, unless somebody else has taken the request over."""
    about = {"status": kept.status, "answer": kept.answer, "sealed_with": kept.sealed_with}
    await connection.execute(KEEP, asked.parameters() | about)


async def let_go(connection: Connection, asked: Asked) -> None:
    """Let whoever comes next try again, at once."""
    await connection.execute(LET_GO, asked.parameters())


async def forget(connection: Connection, before: datetime, rows_max: int) -> int:
    """Take away requests that began before then, so many at most; how many they were."""
    return (await connection.execute(FORGET, {"before": before, "rows_max": rows_max})).rowcount
