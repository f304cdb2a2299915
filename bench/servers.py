"""What the servers say of themselves, for the record: their versions, and the settings that decide what is durable."""

from typing import Final, LiteralString

import psycopg

from ops.local import java
from ops.local.kafka_jars import JARS

SETTINGS: Final[LiteralString] = """
    SELECT name, current_setting(name) FROM pg_settings
    WHERE name IN ('fsync', 'full_page_writes', 'shared_buffers', 'synchronous_commit', 'wal_compression')
    ORDER BY name
"""


async def describe(superuser_url: str) -> dict[str, str]:
    """Versions and settings by name, as the local stack runs them; somebody else's Kafka tells nobody its own."""
    async with await psycopg.AsyncConnection.connect(superuser_url, autocommit=True) as connection:
        version = connection.info.server_version
        rows = await (await connection.execute(SETTINGS)).fetchall()
    return {
        "PostgreSQL": f"{version // 10_000}.{version % 10_000}",
        **dict(rows),
        "Kafka": JARS.name.removeprefix("kafka-"),
        "its JVM's flags": " ".join(java.flags(program)) if (program := java.program()) else "a container's",
    }
