"""Two copies of one id: the first one counts, and what a second one says otherwise is kept aside and told."""

import json
from dataclasses import replace

import pytest
from msgspec import structs

from models.base import Source
from tests.support_store import NEW, NOW, OLD, Bench, Told, changed, told

FIRST = changed("evt_1", quantity=1)
OTHER_CONTENT = {
    "another quantity": changed("evt_1", quantity=2),
    "another second": changed("evt_1", NOW + 1, quantity=1),
    "another type": changed("evt_1", kind="created", quantity=1),
    "a body that cannot be read": changed("evt_1", status="dancing"),
}
SAME_CONTENT = {
    "spelled with spaces": replace(FIRST, body=FIRST.body.replace(b",", b" ,\n ")),
    "with fields that we do not read": told(
        "customer.subscription.updated",
        json.loads(FIRST.body)["data"]["object"] | {"description": "new"},
        pending_webhooks=7,
    ),
    "rendered by another API version": changed("evt_1", quantity=1, api_version=NEW),
    "rendered otherwise by another API version": changed("evt_1", quantity=2, api_version=NEW),
}


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two batches"])
@pytest.mark.parametrize("copy", OTHER_CONTENT.values(), ids=OTHER_CONTENT.keys())
async def test_a_conflicting_copy_is_kept_aside_with_one_alert_and_parks_nobody(
    bench: Bench, copy: Told, together: bool
) -> None:
    assert copy.envelope.api_version == FIRST.envelope.api_version == OLD
    intake = await bench.intake()
    await intake.take(bench.records([FIRST]))
    present = bench.table("subscriptions")
    bench.wipe()
    intake = await bench.intake()

    records = bench.records([FIRST, copy, copy, changed("evt_2", sid="sub_2")])
    for batch in [records] if together else [records[:1], records[1:2], records[2:]]:
        await intake.take(batch)

    assert bench.table("parked") == []
    assert [row for row in bench.table("subscriptions") if row["subscription_id"] == "sub_1"] == present
    [kept] = bench.sql("SELECT * FROM conflicting_copies")
    assert kept["opened"]
    assert bench.store_keys.decrypt(kept["key_id"], kept["sealed"], copy.envelope.seal_context) == copy.body
    [alert] = bench.sql("SELECT data FROM outbox WHERE topic = 'billing.alerts'")
    assert json.loads(alert["data"])["rule"] == "conflicting_copy"
    assert len(bench.table("journal")) == 2


@pytest.mark.parametrize("copy", SAME_CONTENT.values(), ids=SAME_CONTENT.keys())
async def test_a_copy_that_is_only_rendered_otherwise_is_a_plain_duplicate(bench: Bench, copy: Told) -> None:
    intake = await bench.intake()
    await intake.take(bench.records([FIRST]))
    before = bench.tables(but=["positions"])

    await intake.take(bench.records([copy, copy]))

    assert bench.tables(but=["positions"]) == before


async def test_copies_of_a_fact_that_was_never_read_contradict_nobody(bench: Bench) -> None:
    """Stripe's retry differs in `pending_webhooks`; only what was read can be compared."""
    first = changed("evt_1", status="dancing")
    again = replace(first, body=first.body.replace(b'"data"', b'"pending_webhooks": 0, "data"'))
    intake = await bench.intake()

    await intake.take(bench.records([first, again, FIRST]))

    assert bench.sql("SELECT * FROM conflicting_copies") == []
    assert [row["fact_id"] for row in bench.table("parked")] == ["evt_1"]


async def test_copies_that_releases_with_other_slices_read_are_not_compared(bench: Bench) -> None:
    intake = await bench.intake()
    await intake.take(bench.records([FIRST]))
    bench.sql("UPDATE inbox SET slice_version = 0")

    await intake.take(bench.records([changed("evt_1", quantity=2)]))

    assert bench.sql("SELECT * FROM conflicting_copies") == []


async def test_two_different_copies_are_two_alerts(bench: Bench) -> None:
    intake = await bench.intake()

    await intake.take(bench.records([FIRST, changed("evt_1", quantity=2), changed("evt_1", quantity=3)]))

    assert len(bench.sql("SELECT 1 FROM conflicting_copies")) == 2
    alerts = bench.sql("SELECT subject, sequence FROM outbox WHERE topic = 'billing.alerts' ORDER BY outbox_id")
    assert [row["sequence"] for row in alerts] == [1, 2]
    assert len({row["subject"] for row in alerts}) == 2


async def test_the_same_id_from_another_source_is_another_fact(bench: Bench) -> None:
    elsewhere = replace(FIRST, envelope=structs.replace(FIRST.envelope, source=Source.OPERATOR))
    intake = await bench.intake()

    await intake.take(bench.records([FIRST, elsewhere]))

    assert len(bench.table("journal")) == 2
