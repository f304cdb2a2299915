"""What the servers say of themselves, for the record: their versions, and the settings that decide what is durable."""

from typing import Final, LiteralString

import psutil
import psycopg

from ops.local import java
from ops.local.kafka_jars import JARS

SETTINGS: Final[LiteralString] = """
    SELECT name, current_setting(name) FROM pg_settings
    WHERE name IN (
        'checkpoint_timeout', 'fsync', 'full_page_writes', 'huge_pages_status', 'max_wal_size', 'shared_buffers',
        'synchronous_commit', 'track_commit_timestamp', 'wal_compression'
    )
    ORDER BY name
"""


KAFKA_MEMORY: Final = (
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-Xms1g",
    "-Xmx1g",
)
"""The heap that Kafka's own start script gives a broker, and the collector that its manual does: a local stack's small
one is collected every second or so, and everybody waits.  (https://kafka.apache.org/documentation/#java)"""


def postgres_settings() -> dict[str, str]:
    """What PostgreSQL's manual would have one set on this machine, and a local stack for a developer does not need.

    A quarter of the memory for its buffers, and checkpoints by time rather than by what is written.
    (https://www.postgresql.org/docs/current/runtime-config-resource.html, `shared_buffers`; .../wal-configuration.html)
    And it notes when each transaction was committed: a trial's latency ends there (`bench.rows`).
    """
    quarter_mb = psutil.virtual_memory().total // 4 // 1024**2
    return {
        "shared_buffers": f"{quarter_mb}MB",
        "max_wal_size": "8GB",
        "checkpoint_timeout": "15min",
        "track_commit_timestamp": "on",
    }


async def describe(superuser_url: str) -> dict[str, str]:
    """Versions and settings by name, as the local stack runs them; somebody else's Kafka tells nobody its own."""
    async with await psycopg.AsyncConnection.connect(superuser_url, autocommit=True) as connection:
        version = connection.info.server_version
        rows = await (await connection.execute(SETTINGS)).fetchall()
    return {
        "PostgreSQL": f"{version // 10_000}.{version % 10_000}",
        **dict(rows),
        "Kafka": JARS.name.removeprefix("kafka-"),
        "its JVM's flags": " ".join(java.flags(program, KAFKA_MEMORY))
        if (program := java.program())
        else "a container's",
    }
