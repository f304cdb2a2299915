"""A PostgreSQL as the image's first start leaves it: the cluster, and deploy/postgres/roles.sql run on it."""

import os
import subprocess
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from ops.local import postgres_programs
from ops.local.postgres import LocalPostgres, Role

ROLES_SQL: Final = Path(__file__).parents[1] / "deploy/postgres/roles.sql"
OURS: Final = (Role.OWNER, Role.APP, Role.READER)


async def start_bare(home: Path) -> LocalPostgres:
    """A cluster with a superuser, and nothing of ours."""
    cluster = LocalPostgres(home, durable=False)
    await cluster.start()
    with psycopg.connect(cluster.url(Role.SUPERUSER, "postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE billing")
        for role in OURS:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    return cluster


def run_roles_sql(cluster: LocalPostgres, secrets: Path) -> subprocess.CompletedProcess[str]:
    """What the image's first start does."""
    psql = str(postgres_programs.found().bindir / "psql")
    words = ["--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-f", str(ROLES_SQL)]
    return subprocess.run(
        [psql, cluster.url(Role.SUPERUSER, "postgres"), *words],
        env={**os.environ, "SECRETS_DIR": str(secrets)},
        check=False,
        capture_output=True,
        text=True,
    )
