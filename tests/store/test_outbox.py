"""What we have to say is said in order, at least once, by one relay at a time, and nothing is skipped."""

import json
from datetime import UTC, datetime

import psycopg
import pytest

from store.outbox import UNSENT, Outbox, OutboxRow
from tests.store.test_contracts import assert_numbers_are_gapless
from tests.support_store import NOW, Bench, changed

INSERT = """
    WITH said AS (
        INSERT INTO outbox (written_at, topic, key, event_id, type, subject, occurred_at, data, sent_at)
        VALUES (clock_timestamp(), 'billing.alerts', 'rule', %(id)s, 't.v1', 's', now(), '{}', now())
        RETURNING outbox_id, written_at
    )
    INSERT INTO unsent_events (outbox_id, written_at) SELECT outbox_id, written_at FROM said
"""
AS_BEFORE = """
    INSERT INTO outbox (written_at, topic, key, event_id, type, subject, occurred_at, data)
    VALUES (clock_timestamp(), 'billing.alerts', 'rule', %(id)s, 't.v1', 's', now(), '{}')
"""
UNMARKED = "SELECT event_id FROM outbox WHERE sent_at IS NULL ORDER BY outbox_id"
"""What the relay of the release before would send."""


async def filled(bench: Bench, count: int = 5) -> Outbox:
    told = [changed(f"evt_{n}", NOW + n, quantity=n, sid=f"sub_{n % 2}", customer=f"cus_{n % 2}") for n in range(count)]
    await (await bench.intake()).take(bench.records(told))
    return Outbox(bench.database)


def said(rows: tuple[OutboxRow, ...]) -> list[str]:
    return [dict(row.headers)["ce_id"].decode().split("/")[1] for row in rows]


async def sent(outbox: Outbox, batch_max: int = 100) -> list[str]:
    async with outbox.claim(batch_max) as claim:
        return said(claim.rows)


async def test_rows_are_claimed_oldest_first_and_each_once(bench: Bench) -> None:
    outbox = await filled(bench)

    assert [await sent(outbox, 2) for _ in range(4)] == [["evt_0", "evt_1"], ["evt_2", "evt_3"], ["evt_4"], []]


async def test_a_row_of_the_outbox_is_written_once(bench: Bench) -> None:
    outbox = await filled(bench)
    written = bench.sql("SELECT ctid::text, * FROM outbox")

    await sent(outbox)

    assert bench.sql("SELECT ctid::text, * FROM outbox") == written


async def test_what_was_said_is_said_again_once_its_ids_are_put_back(bench: Bench) -> None:
    outbox = await filled(bench)
    said_once = await sent(outbox)

    bench.sql("INSERT INTO unsent_events (outbox_id, written_at) SELECT outbox_id, written_at FROM outbox")

    assert await sent(outbox) == said_once


async def test_what_the_release_before_writes_is_sent_once_and_in_its_place(bench: Bench) -> None:
    outbox = Outbox(bench.database)
    for number, statement in enumerate((INSERT, AS_BEFORE, INSERT, AS_BEFORE, AS_BEFORE, INSERT)):
        bench.sql(statement, {"id": f"stripe/{number}/t/s"})

    assert [await sent(outbox, 4) for _ in range(3)] == [["0", "1", "2", "3"], ["4", "5"], []]


async def test_the_relay_of_the_release_before_sends_nothing_that_ours_has_sent_or_is_to_send(bench: Bench) -> None:
    outbox = await filled(bench, 2)
    bench.sql(AS_BEFORE, {"id": "stripe/before/t/s"})
    assert [row["event_id"] for row in bench.sql(UNMARKED)] == ["stripe/before/t/s"]

    await sent(outbox)

    assert bench.sql(UNMARKED) == []


async def test_whatever_goes_wrong_while_sending_marks_nothing(bench: Bench) -> None:
    outbox = await filled(bench)

    async def fail() -> None:
        async with outbox.claim(3) as claim:
            assert len(claim.rows) == 3
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await fail()
    assert await sent(outbox, 3) == ["evt_0", "evt_1", "evt_2"], "the same again"


async def test_of_two_relays_one_has_the_turn(bench: Bench) -> None:
    outbox = await filled(bench)
    other = Outbox(await bench.other_database())

    async with outbox.claim(2) as mine, other.claim(2) as theirs:
        assert len(mine.rows) == 2
        assert theirs.rows == ()

    assert await sent(other, 2) == ["evt_2", "evt_3"], "the turn goes on when it is given back"


@pytest.mark.parametrize("turn_before", [False, True])
async def test_rows_are_not_read_without_a_turn(bench: Bench, turn_before: bool) -> None:
    outbox = await filled(bench)
    if turn_before:
        await sent(outbox, 1)  # On the same connection, which keeps nothing of it.

    async with bench.database.connection() as connection:
        with pytest.raises(psycopg.Error):
            await connection.execute(UNSENT, {"batch_max": 5})


async def test_a_relay_that_dies_gives_its_turn_up(bench: Bench) -> None:
    outbox = await filled(bench)
    other = Outbox(await bench.other_database())

    async def die() -> None:
        async with outbox.claim(5):
            bench.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tests'")
            while bench.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND database = %(here)s", here):
                pass
            assert await sent(other) == ["evt_0", "evt_1", "evt_2", "evt_3", "evt_4"]

    here = bench.sql("SELECT oid AS here FROM pg_database WHERE datname = current_database()")[0]
    with pytest.raises(psycopg.OperationalError):
        await die()


async def test_an_id_that_commits_after_a_larger_one_is_not_skipped(bench: Bench) -> None:
    outbox = Outbox(bench.database)
    with psycopg.connect(bench.app_url) as slow:
        slow.execute(INSERT, {"id": "stripe/slow/t/s"})
        with psycopg.connect(bench.app_url) as quick:
            quick.execute(INSERT, {"id": "stripe/quick/t/s"})
        assert await sent(outbox) == ["quick"]

    assert await sent(outbox) == ["slow"]


async def test_a_row_travels_as_a_cloud_event(bench: Bench) -> None:
    outbox = await filled(bench, 3)

    async with outbox.claim(10) as claim:
        row = claim.rows[2]

    account_id = bench.sql("SELECT account_id FROM customers WHERE customer_id = 'cus_0'")[0]["account_id"]
    assert (row.topic, row.key) == ("billing.subscriptions", account_id)
    assert dict(row.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"stripe/evt_2/billing.subscription.changed.v1/sub_0",
        "ce_type": b"billing.subscription.changed.v1",
        "ce_source": b"/billstream/books",
        "ce_subject": b"sub_0",
        "ce_time": datetime.fromtimestamp(NOW + 2, UTC).isoformat().replace("+00:00", "Z").encode(),
        "content-type": b"application/json",
        "account_seq": b"2",
        "sequence": b"2",
    }
    data = json.loads(row.value)
    assert (data["account_id"], data["quantity"], data["plan"]) == (account_id, 2, "mid")


async def test_rows_of_one_account_are_sent_in_the_order_of_their_sequence(bench: Bench) -> None:
    outbox = await filled(bench, 40)
    assert_numbers_are_gapless(bench)

    sequences: dict[str, list[int]] = {}
    async with outbox.claim(100) as claim:
        for row in claim.rows:
            sequences.setdefault(row.key, []).append(int(dict(row.headers)["sequence"]))

    assert len(sequences) == 2
    assert all(numbers == sorted(numbers) for numbers in sequences.values())


async def test_the_age_of_what_is_unsaid_is_known(bench: Bench) -> None:
    outbox = Outbox(bench.database)
    assert await outbox.oldest_unsent_age_seconds() == 0.0

    outbox = await filled(bench)
    for table in ("outbox", "unsent_events"):
        bench.sql(f"UPDATE {table} SET written_at = written_at - interval '2 seconds'")
    assert 2.0 <= await outbox.oldest_unsent_age_seconds() < 60.0

    await sent(outbox)
    assert await outbox.oldest_unsent_age_seconds() == 0.0
    bench.sql(AS_BEFORE, {"id": "stripe/before/t/s"})
    assert await outbox.oldest_unsent_age_seconds() > 0.0
