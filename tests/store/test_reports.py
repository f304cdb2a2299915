"""What other people may rely on: one row for each distinct fact, and the schema `reports` and nothing else."""

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from store import reports
from tests.support_store import NEW, NOW, Bench, changed, customer, told

COLUMNS = {
    "subscriptions": """
        subscription_id account_id customer_id status plan price_lookup_key billing_interval quantity
        current_period_start current_period_end trial_end cancel_at cancel_at_period_end canceled_at livemode as_of
    """,
    "subscription_history": """
        subscription_id account_id customer_id status plan price_lookup_key billing_interval quantity
        current_period_start current_period_end trial_end cancel_at cancel_at_period_end canceled_at livemode as_of
        version
    """,
    "facts": """
        fact_id source type api_version created_at received_at committed_at outcome reason account_id account_seq topic
        partition topic_offset
    """,
}


async def test_there_is_one_row_for_each_distinct_fact_whatever_became_of_it(bench: Bench) -> None:
    facts = [
        changed("evt_applied", NOW, api_version=NEW),
        changed("evt_stale", NOW - 9, quantity=7),
        changed("evt_end", NOW + 1, kind="deleted", status="canceled"),
        changed("evt_refused", NOW + 2),
        told("price.created", {"id": "price_1"}, event_id="evt_ignored"),
        changed("evt_parked", status="dancing", customer="cus_2", sid="sub_2"),
        customer("evt_behind", customer_id="cus_2"),
    ]
    intake = await bench.intake()
    await intake.take(bench.records([*facts, *facts, changed("evt_applied", NOW, quantity=99, api_version=NEW)]))

    rows = bench.sql("SELECT * FROM reports.facts")
    assert {row["fact_id"]: (row["outcome"], row["reason"], row["topic_offset"]) for row in rows} == {
        "evt_applied": ("applied", None, 0),
        "evt_stale": ("stale", "stale", 1),
        "evt_end": ("applied", None, 2),
        "evt_refused": ("refused", "after_end", 3),
        "evt_ignored": ("ignored", "not_ours", 4),
        "evt_parked": ("parked", "unreadable body: data.object.status: " + _expected_status(rows), 5),
        "evt_behind": ("parked", "follows", 6),
    }
    assert len(rows) == len(facts)
    by_id = {row["fact_id"]: row for row in rows}
    assert by_id["evt_applied"]["api_version"] == NEW
    for fact in facts:
        row = by_id[fact.id]
        assert (row["source"], row["type"]) == ("stripe", fact.envelope.type)
        assert (row["created_at"], row["received_at"]) == (fact.envelope.occurred_at, fact.envelope.received_at)
        assert (row["account_seq"] is None) == (row["outcome"] == "parked" or row["account_id"] is None)


def _expected_status(rows: list[dict[str, Any]]) -> str:
    """pydantic's own words, which hold none of the body's."""
    [reason] = [row["reason"] for row in rows if row["fact_id"] == "evt_parked"]
    assert "dancing" not in reason
    return str(reason).split("data.object.status: ", 1)[1]


async def test_the_present_is_the_last_row_of_the_history(bench: Bench) -> None:
    await (await bench.intake()).take(
        bench.records([changed("evt_2", NOW + 5, quantity=2), changed("evt_1", NOW, kind="created", account="P1")])
    )

    [present] = bench.sql("SELECT * FROM reports.subscriptions")
    history = bench.sql("SELECT * FROM reports.subscription_history ORDER BY version")
    assert [(row["version"], row["quantity"]) for row in history] == [(1, 1), (2, 2)]
    assert {**present, "version": 2} == history[-1]
    assert present["as_of"] == datetime.fromtimestamp(NOW + 5, UTC)
    assert (present["plan"], present["price_lookup_key"], present["billing_interval"]) == (
        "mid",
        "mid_monthly",
        "month",
    )


@pytest.mark.parametrize("view", COLUMNS)
async def test_the_reports_have_the_columns_that_were_promised(bench: Bench, view: str) -> None:
    rows = bench.sql(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'reports' AND table_name = %(view)s"
        " ORDER BY ordinal_position",
        {"view": view},
    )
    assert [row["column_name"] for row in rows] == COLUMNS[view].split()


async def test_the_reader_sees_the_reports_and_nothing_else(own_bench: Bench, database: Any) -> None:
    await (await own_bench.intake()).take(own_bench.records([changed("evt_1")]))
    tables = own_bench.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert len(tables) > 10

    with psycopg.connect(database.reader_url, autocommit=True, row_factory=dict_row) as reader:
        for view in COLUMNS:
            assert reader.execute(f"SELECT count(*) AS n FROM reports.{view}").fetchall() == [{"n": 1}]
        for table in tables:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(f"SELECT * FROM public.{table['tablename']}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("SELECT make_months(1)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("CREATE TABLE public.mine ()")


async def test_reports_are_read_by_the_name_of_their_columns(own_bench: Bench, database: Any) -> None:
    await (await own_bench.intake()).take(own_bench.records([changed("evt_1")]))

    rows = await reports.read(
        database.reader_url, "SELECT status FROM reports.subscriptions WHERE plan = %(plan)s", {"plan": "mid"}
    )

    assert rows == [{"status": "active"}]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET outcome = 'stale'",
        "DELETE FROM journal",
        "UPDATE inbox SET api_version = 'x'",
        "DELETE FROM inbox",
        "DELETE FROM outbox",
        "DELETE FROM subscription_versions",
        "UPDATE conflicting_copies SET opened = false",
        "DROP TABLE journal",
        "CREATE TABLE mine ()",
    ],
)
async def test_the_processes_cannot_undo_what_they_wrote(bench: Bench, statement: str) -> None:
    with psycopg.connect(bench.app_url) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(statement.encode())
