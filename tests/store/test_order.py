"""Whatever order facts come in, the same rows, the same versions, the same last word.  On the database, end to end."""

import itertools
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest

from tests.store.test_contracts import assert_numbers_are_gapless
from tests.support_lives import batches, lives, share_with_three_updates_in_one_second, shuffled
from tests.support_store import NEW, NOW, OLD, Bench, Told, changed, customer

LIFE_COUNT = 16
CORPORA = range(5)
SHUFFLES = 4
ARRIVAL = frozenset({"as_of", "account_seq", "sequence"})
"""What depends on the order of arrival, and may."""

Picture = dict[str, Any]


def picture(bench: Bench) -> Picture:
    """What must not depend on the order of arrival."""
    said: dict[str, set[str]] = {}
    last: dict[str, dict[str, Any]] = {}
    for row in bench.sql(
        # Who is told to let go of a subscription depends on what was known before, and may.
        "SELECT subject, type, data FROM outbox WHERE topic = 'billing.subscriptions'"
        " AND type <> 'billing.subscription.moved.v1' ORDER BY outbox_id"
    ):
        data = {name: value for name, value in json.loads(row["data"]).items() if name not in ARRIVAL}
        if row["type"] == "billing.subscription.changed.v1":
            last[row["subject"]] = data
        version = {name: value for name, value in data.items() if name not in {"type", "account_id"}}
        said.setdefault(row["subject"], set()).add(json.dumps(version, sort_keys=True))
    return {
        "subscriptions": bench.sql("SELECT * FROM reports.subscriptions ORDER BY subscription_id"),
        "history": bench.sql("SELECT * FROM reports.subscription_history ORDER BY subscription_id, version"),
        "versions": bench.table("versions"),
        "customers": bench.table("customers"),
        "facts": bench.sql("SELECT fact_id FROM reports.facts ORDER BY fact_id"),
        "said": said,
        "last": last,
    }


async def heard(bench: Bench, told: Sequence[Told], dice: random.Random) -> Picture:
    """The picture after these events came in this order, in batches of any size."""
    bench.wipe()
    intake = await bench.intake()
    for batch in batches(told, dice):
        await intake.take(bench.records(batch))
    assert bench.table("parked") == []
    assert bench.table("copies") == []
    return picture(bench)


@pytest.mark.parametrize("seed", CORPORA)
async def test_any_order_of_arrival_ends_in_the_same_books(bench: Bench, seed: int) -> None:
    corpus = lives(seed, LIFE_COUNT)
    assert share_with_three_updates_in_one_second(corpus) >= 0.3
    dice = random.Random(seed)
    happened = [one for life in corpus for one in life]

    in_order = await heard(bench, happened, dice)

    assert in_order["said"].keys() == in_order["last"].keys() == {f"sub_{number}" for number in range(LIFE_COUNT)}
    for _ in range(SHUFFLES):
        assert await heard(bench, shuffled(happened, dice), dice) == in_order
        assert_numbers_are_gapless(bench)


async def test_every_order_of_a_short_life_ends_in_the_same_books(bench: Bench) -> None:
    """Three updates in one second, told apart by their previous attributes alone, and an end: every order of the five,
    and in each, a naming somewhere.  All side by side in one database, each life with names of its own."""
    arriving: list[list[Told]] = []
    for number, order in enumerate(itertools.permutations(range(5))):
        *life, naming = _short_life(number)
        told = [life[place] for place in order]
        told.insert(number % 6, naming)
        arriving.append(told)
    intake = await bench.intake()
    for turn in range(6):
        await intake.take(bench.records([one[turn] for one in arriving]))

    rows = bench.sql("SELECT * FROM reports.subscription_history ORDER BY subscription_id, version")
    lines: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        assert row["account_id"] == rows[0]["account_id"]
        lines.setdefault(row["subscription_id"], []).append((row["status"], row["quantity"], row["as_of"]))
    assert len(lines) == 120
    assert len({tuple(line) for line in lines.values()}) == 1
    assert [quantity for _, quantity, _ in next(iter(lines.values()))] == [1, 2, 3, 4, 4]


def _short_life(number: int) -> tuple[Told, ...]:
    who: dict[str, Any] = {"sid": f"sub_{number:03}", "customer": f"cus_{number:03}"}
    return (
        changed(f"evt_{number:03}_d", NOW, kind="created", quantity=1, **who),
        # Their ids run against time: only the previous attributes know.
        changed(f"evt_{number:03}_c", NOW + 1, quantity=2, previous={"items": items(1)}, **who),
        changed(f"evt_{number:03}_b", NOW + 1, quantity=3, previous={"items": items(2)}, **who),
        changed(f"evt_{number:03}_a", NOW + 1, quantity=4, previous={"items": items(3)}, **who),
        changed(f"evt_{number:03}_e", NOW + 1, kind="deleted", status="canceled", quantity=4, **who),
        customer(f"evt_{number:03}_f", NOW + 2, customer_id=who["customer"], account="P1"),
    )


def items(quantity: int) -> dict[str, Any]:
    price = {"id": "price_mid_monthly", "lookup_key": "mid_monthly", "recurring": {"interval": "month"}}
    return {"data": [{"price": price, "quantity": quantity}]}


async def test_both_shapes_of_a_life_show_the_same_subscription(bench: Bench) -> None:
    shapes: list[Any] = []
    for api_version in (OLD, NEW):
        life = [
            changed("evt_1", NOW, kind="created", status="trialing", api_version=api_version),
            changed("evt_2", NOW + 1, lookup_key="high_monthly", api_version=api_version),
            changed("evt_3", NOW + 1, lookup_key="high_monthly", quantity=3, start=NOW + 1, api_version=api_version),
        ]
        shapes.append(await heard(bench, life, random.Random(1)))

    assert shapes[0] == shapes[1]


async def test_a_deleted_customer_leaves_a_tombstone_whatever_comes_later(bench: Bench) -> None:
    gone = customer("evt_gone", NOW + 5, kind="deleted")
    others = [customer("evt_1", NOW, kind="created"), customer("evt_2", NOW + 9), changed("evt_3", NOW + 3)]
    for told in ([gone, *others], [*others, gone]):
        await heard(bench, told, random.Random(1))

        [row] = bench.table("customers")
        assert row["deleted_at"] == gone.envelope.occurred_at


async def test_what_has_ended_stays_ended(bench: Bench) -> None:
    end = changed("evt_end", NOW, kind="deleted", status="canceled")
    late = [changed("evt_1", NOW - 5, status="active"), changed("evt_2", NOW + 5, status="active")]
    for told in ([end, *late], [*late, end]):
        present = await heard(bench, told, random.Random(1))

        assert [row["status"] for row in present["subscriptions"]] == ["canceled"]
