"""Every fact once: the first copy finds its place free, a later one finds it taken.

Two copies of one event are the same when what we read of them is (`Fact.digest`), within one API version; spelling and
the fields we do not read differ lawfully.  A copy that was not read, or that a release with another `SLICE_VERSION`
read, is compared with none.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

from models.stripe_events import SLICE_VERSION
from store.arrays import Byteas, Texts
from store.postgres import Connection, Cursor

Identity = tuple[str, str]

CLAIM: Final[LiteralString] = """
    INSERT INTO inbox (source, fact_id, slice_sha256, slice_version, api_version)
    SELECT source, fact_id, slice_sha256, %(slice_version)s::bigint, api_version
    FROM unnest(%(sources)b::text[], %(fact_ids)b::text[], %(hashes)b::bytea[], %(api_versions)b::text[])
        AS claimed (source, fact_id, slice_sha256, api_version)
    ON CONFLICT DO NOTHING
    RETURNING source, fact_id
"""

KNOWN: Final[LiteralString] = """
    SELECT inbox.source, inbox.fact_id, inbox.slice_sha256, inbox.slice_version, inbox.api_version
    FROM unnest(%(sources)b::text[], %(fact_ids)b::text[]) AS asked (source, fact_id)
    JOIN inbox ON inbox.source = asked.source AND inbox.fact_id = asked.fact_id
"""


class Known:
    """What the inbox holds of a copy that came before: what was read of it, if it was read by a release like ours."""

    def __init__(self, digest: bytes | None, api_version: str | None) -> None:
        self._digest = digest
        self._api_version = api_version

    def contradicts(self, digest: bytes | None, api_version: str | None) -> bool:
        """Whether a later copy says something else in the same words."""
        comparable = self._digest is not None and api_version == self._api_version
        return comparable and digest != self._digest


async def claim(connection: Connection, claims: Sequence[tuple[Identity, bytes | None, str | None]]) -> Cursor:
    """Take the places that are free, in sorted order so that two batches never wait for each other in a circle."""
    ordered = sorted(claims, key=lambda one: one[0])
    return await connection.execute(
        CLAIM,
        {
            "sources": Texts(source for (source, _), _, _ in ordered),
            "fact_ids": Texts(fact_id for (_, fact_id), _, _ in ordered),
            "hashes": Byteas(digest for _, digest, _ in ordered),
            "slice_version": SLICE_VERSION,
            "api_versions": Texts(api_version for _, _, api_version in ordered),
        },
    )


async def read_claimed(claimed: Cursor) -> set[Identity]:
    """The facts whose places were free."""
    return {(row["source"], row["fact_id"]) for row in await claimed.fetchall()}


async def known(connection: Connection, identities: Sequence[Identity]) -> dict[Identity, Known]:
    """What is known of copies that came before."""
    found = await connection.execute(
        KNOWN,
        {
            "sources": Texts(source for source, _ in identities),
            "fact_ids": Texts(fact_id for _, fact_id in identities),
        },
    )
    return {
        (row["source"], row["fact_id"]): Known(_comparable(row), row["api_version"]) for row in await found.fetchall()
    }


def _comparable(row: Mapping[str, Any]) -> bytes | None:
    digest: bytes | None = row["slice_sha256"]
    return digest if row["slice_version"] == SLICE_VERSION else None
