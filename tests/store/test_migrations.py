"""Migrations: bounded in their waiting, harmless when run again, and able to begin with nothing."""

from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from store import migrate
from store.migrations import lint
from store.months import Months
from tests.store.test_waiting import traffic
from tests.support_lives import lives
from tests.support_store import NOW, bench_on, changed

MIGRATION = '''
"""A migration."""

from alembic import op

revision = "{revision}"
down_revision = {down}


def upgrade() -> None:
    op.execute("""{statements}""")
'''
RARELY = ["autovacuum_analyze_threshold=1000000", "autovacuum_vacuum_insert_threshold=100000"]
OURS = ["0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011"]
NEXT = "0012"
BOUNDED = "SET LOCAL lock_timeout = '500ms';"


@pytest.fixture
def migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of migrations of this test's own, beginning with ours."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    for file in (migrate.MIGRATIONS / "env.py", *(migrate.MIGRATIONS / "versions").glob("0*.py")):
        (folder / file.relative_to(migrate.MIGRATIONS)).write_text(file.read_text())
    monkeypatch.setattr(migrate, "MIGRATIONS", folder)
    monkeypatch.setattr(lint, "HERE", folder)
    return folder


def add(folder: Path, statements: str, *, revision: str = NEXT, down: str = OURS[-1]) -> None:
    text = MIGRATION.format(revision=revision, down=repr(down), statements=statements)
    (folder / "versions" / f"{revision}_more.py").write_text(text)


def test_our_migrations_are_clean() -> None:
    assert lint.lint() == []


def test_a_migration_that_may_wait_for_ever_is_told(migrations: Path) -> None:
    add(migrations, "ALTER TABLE outbox ADD COLUMN note text")

    assert lint.lint() == [f"{NEXT}: say `SET LOCAL lock_timeout` before anything else"]


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("ALTER TABLE outbox DROP COLUMN key;", "ban-drop-column"),
        ("ALTER TABLE outbox RENAME COLUMN key TO name;", "renaming-column"),
        ("ALTER TABLE outbox ALTER COLUMN key TYPE varchar(9);", "changing-column-type"),
        ("ALTER TABLE customers ADD COLUMN note text NOT NULL;", "adding-required-field"),
        ("DROP TABLE outbox;", "ban-drop-table"),
    ],
)
def test_a_migration_that_breaks_the_version_before_is_told(migrations: Path, statement: str, rule: str) -> None:
    add(migrations, BOUNDED + statement)

    [problem] = lint.lint()
    assert rule in problem


def test_running_again_does_nothing(database: Any) -> None:
    assert migrate.status(database.owner_url) == (OURS[-1], [])
    with psycopg.connect(database.superuser_url) as superuser:
        before = superuser.execute("SELECT oid, relname, relfilenode FROM pg_class ORDER BY oid").fetchall()
        superuser.commit()

        assert migrate.apply(database.owner_url) == []

        assert superuser.execute("SELECT oid, relname, relfilenode FROM pg_class ORDER BY oid").fetchall() == before


def test_a_database_with_nothing_in_it_is_brought_all_the_way(empty_database: Any) -> None:
    assert migrate.status(empty_database.owner_url) == (None, OURS)
    assert migrate.apply(empty_database.owner_url) == OURS
    assert migrate.status(empty_database.owner_url) == (OURS[-1], [])


async def test_a_migrated_database_takes_facts_and_keeps_them_through_the_next_migration(
    empty_database: Any, tmp_path: Path, migrations: Path
) -> None:
    """Processes of the version before go on working while it runs, and after."""
    migrate.apply(empty_database.owner_url)
    async with bench_on(empty_database.app_url, empty_database.superuser_url, tmp_path) as bench:
        intake = await bench.intake()
        await intake.take(bench.records([changed("evt_1", kind="created", account="P1")]))
        before = bench.tables()

        add(migrations, BOUNDED + "ALTER TABLE subscriptions ADD COLUMN note text")
        assert migrate.apply(empty_database.owner_url) == [NEXT]

        await intake.take(bench.records([changed("evt_2", NOW + 1, quantity=2)]))
        after = bench.tables()
        assert after["journal"][:1] == before["journal"]
        assert [row["quantity"] for row in after["subscriptions"]] == [2]
        assert after["parked"] == []


def test_a_migration_that_fails_leaves_nothing_behind(database: Any, migrations: Path) -> None:
    add(migrations, BOUNDED + "CREATE TABLE half (); SELECT 1 / 0")

    with pytest.raises(Exception, match="division by zero"):
        migrate.apply(database.owner_url)

    assert migrate.status(database.owner_url) == (OURS[-1], [NEXT])
    with psycopg.connect(database.superuser_url) as superuser:
        assert superuser.execute("SELECT to_regclass('public.half')").fetchone() == (None,)


def test_a_migration_gives_up_when_its_lock_is_not_to_be_had(database: Any, migrations: Path) -> None:
    """Waiting longer would queue every process behind it."""
    add(migrations, BOUNDED + "ALTER TABLE customers ADD COLUMN note text")
    with psycopg.connect(database.superuser_url) as holder:
        holder.execute("SELECT * FROM customers")
        began = monotonic()

        with pytest.raises(OperationalError, match="lock timeout"):
            migrate.apply(database.owner_url)

        assert 0.4 < monotonic() - began < 10
        assert migrate.status(database.owner_url) == (OURS[-1], [NEXT])
    assert migrate.apply(database.owner_url) == [NEXT], "and the next try finds it free"


def test_a_role_that_is_missing_is_said_with_the_words_that_make_it(
    empty_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "ROLES", ("billing_app", "billing_nobody"))

    with pytest.raises(migrate.RolesMissing, match="CREATE ROLE billing_nobody"):
        migrate.apply(empty_database.owner_url)


async def test_the_months_ahead_are_made_by_the_processes_themselves(own_bench: Any) -> None:
    months = "SELECT count(*) AS n FROM pg_inherits WHERE inhparent = 'journal'::regclass"
    assert own_bench.sql(months) == [{"n": 3}]
    own_bench.sql("DROP TABLE journal_" + last_month(own_bench))
    assert own_bench.sql(months) == [{"n": 2}]
    keeper = Months(own_bench.database)

    await keeper.keep_ahead(own_bench.sql("SELECT now() AS now")[0]["now"])

    assert own_bench.sql(months) == [{"n": 3}]


async def test_the_months_ahead_are_made_while_a_long_report_reads_and_a_worker_writes(own_bench: Any) -> None:
    own_bench.sql("DROP TABLE journal_" + last_month(own_bench))
    with psycopg.connect(own_bench.superuser_url) as report:
        report.execute("SELECT count(*) FROM reports.facts")

        await (await own_bench.intake()).take(own_bench.records([changed("evt_1")]))

        assert len(own_bench.table("journal")) == 1
        assert own_bench.sql(
            "SELECT to_regclass('journal_' || %(m)s) IS NOT NULL AS there", {"m": last_month(own_bench)}
        )[0]["there"]


async def test_a_month_that_cannot_be_made_yet_stops_nobody(own_bench: Any) -> None:
    own_bench.sql("DROP TABLE journal_" + last_month(own_bench))
    with psycopg.connect(own_bench.superuser_url) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(x'6d6f6e74'::integer)")

        await (await own_bench.intake()).take(own_bench.records([changed("evt_1")]))

    assert len(own_bench.table("journal")) == 1


def last_month(bench: Any) -> str:
    [row] = bench.sql("SELECT to_char((now() AT TIME ZONE 'UTC') + interval '2 months', 'YYYY_MM') AS month")
    return str(row["month"])


def test_every_month_of_the_outbox_has_what_the_outbox_has(empty_database: Any, migrations: Path) -> None:
    """Those from before a migration as well as those that are made after it."""
    later = [file for file in (migrations / "versions").glob("0*.py") if not file.name.startswith("0001")]
    held_back = [file.rename(file.with_suffix(".later")) for file in later]
    assert migrate.apply(empty_database.owner_url) == ["0001"]
    for file in held_back:
        file.rename(file.with_suffix(".py"))
    assert migrate.apply(empty_database.owner_url) == OURS[1:]

    with psycopg.connect(empty_database.owner_url, autocommit=True) as owner:
        owner.execute("SELECT make_months(3)")
        months = owner.execute(
            """
            SELECT inhrelid::regclass::text,
                   (SELECT reloptions FROM pg_class WHERE oid = inhrelid),
                   (SELECT array_agg(attname::text ORDER BY attname) FROM pg_attribute
                    WHERE attrelid = inhrelid AND attnum > 0 AND NOT attisdropped)
            FROM pg_inherits WHERE inhparent = 'outbox'::regclass
            """
        ).fetchall()

    assert len(months) == 4
    assert all("traceparent" in columns and columns == months[0][2] for _, _, columns in months)
    assert all(sorted(options) == RARELY for _, options, _ in months)


def test_no_entries_gather_that_each_look_would_have_to_pass(database: Any) -> None:
    with psycopg.connect(database.owner_url) as owner:
        gins = owner.execute(
            """
            SELECT c.relname, c.reloptions FROM pg_class AS c
            JOIN pg_am ON pg_am.oid = c.relam AND pg_am.amname = 'gin'
            """
        ).fetchall()

    assert gins == [("waiting_facts_by_object", ["fastupdate=off"])]


def test_months_to_come_are_stored_as_the_newest_one_is(empty_database: Any) -> None:
    migrate.apply(empty_database.owner_url)
    with psycopg.connect(empty_database.owner_url, autocommit=True) as owner:
        newest = owner.execute(
            "SELECT max(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'journal'::regclass"
        )
        [name] = newest.fetchone() or [None]
        owner.execute(f"ALTER TABLE {name} SET (fillfactor = 90)")  # type: ignore[arg-type]

        owner.execute("SELECT make_months(5)")

        last = owner.execute(
            """
            SELECT reloptions FROM pg_class
            WHERE relname = 'journal' || to_char(now() AT TIME ZONE 'UTC' + interval '5 months', '_YYYY_MM')
            """
        ).fetchone()
    assert last is not None
    assert sorted(last[0]) == sorted([*RARELY, "fillfactor=90"])


async def test_what_facts_write_is_not_analyzed_every_minute(own_bench: Any) -> None:
    await (await own_bench.intake()).take(own_bench.records([*lives(1, 1)[0], *traffic(2)]))
    tables = own_bench.sql(
        """
        SELECT oid::regclass::text AS name, coalesce(reloptions, '{}') AS options FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
        """
    )
    written = {
        table["name"]: table["options"]
        for table in tables
        if own_bench.sql(f"SELECT EXISTS (SELECT FROM {table['name']}) AS any")[0]["any"]
    }

    assert {"accounts", "payments", "stripe_object_versions", "subscriptions"} < written.keys()
    assert {name for name, options in written.items() if not set(RARELY) <= set(options)} == {"alembic_version"}
