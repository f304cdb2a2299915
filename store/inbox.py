"""Every fact once: the first copy finds its place free, a later one finds it taken.

Two copies of one event are the same when what we read of them is (`Fact.digest`), within one API version; spelling and
the fields we do not read differ lawfully.
"""

from collections.abc import Sequence
from typing import Final, LiteralString

from store.postgres import Connection, Cursor

Identity = tuple[str, str]

CLAIM: Final[LiteralString] = """
    INSERT INTO inbox (source, fact_id, slice_sha256, api_version)
    SELECT * FROM unnest(%(sources)b::text[], %(fact_ids)b::text[], %(hashes)b::bytea[], %(api_versions)b::text[])
    ON CONFLICT DO NOTHING
    RETURNING source, fact_id
"""

KNOWN: Final[LiteralString] = """
    SELECT inbox.source, inbox.fact_id, inbox.slice_sha256, inbox.api_version
    FROM unnest(%(sources)b::text[], %(fact_ids)b::text[]) AS asked (source, fact_id)
    JOIN inbox ON inbox.source = asked.source AND inbox.fact_id = asked.fact_id
"""


class Known:
    """What the inbox holds of a copy that came before."""

    def __init__(self, digest: bytes, api_version: str | None) -> None:
        self._digest = digest
        self._api_version = api_version

    def contradicts(self, digest: bytes, api_version: str | None) -> bool:
        """Whether a later copy says something else in the same words."""
        return api_version == self._api_version and digest != self._digest


async def claim(connection: Connection, claims: Sequence[tuple[Identity, bytes, str | None]]) -> Cursor:
    """Take the places that are free, in sorted order so that two batches never wait for each other in a circle."""
    ordered = sorted(claims, key=lambda one: one[0])
    return await connection.execute(
        CLAIM,
        {
            "sources": [source for (source, _), _, _ in ordered],
            "fact_ids": [fact_id for (_, fact_id), _, _ in ordered],
            "hashes": [digest for _, digest, _ in ordered],
            "api_versions": [api_version for _, _, api_version in ordered],
        },
    )


async def read_claimed(claimed: Cursor) -> set[Identity]:
    """The facts whose places were free."""
    return {(row["source"], row["fact_id"]) for row in await claimed.fetchall()}


async def known(connection: Connection, identities: Sequence[Identity]) -> dict[Identity, Known]:
    """What is known of copies that came before."""
    found = await connection.execute(
        KNOWN, {"sources": [source for source, _ in identities], "fact_ids": [fact_id for _, fact_id in identities]}
    )
    return {
        (row["source"], row["fact_id"]): Known(row["slice_sha256"], row["api_version"])
        for row in await found.fetchall()
    }
