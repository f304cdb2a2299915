from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bench import known
from ops.local.programs import CATALOG
from store import apply
from store.apply import Batch
from store.positions import Span
from store.records import Arrival, Origin
from tests.support_store import GROUP, TOPIC, Bench, bench_on

NOT_THE_SAME = {"received_at", "slice_sha256", "caused", "topic", "partition", "topic_offset"}
"""When and how it was heard, what copies are compared by (nobody copies such a fact), and what was said of it then."""


@pytest.fixture
async def bench(database: Any, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(database.app_url, database.superuser_url, tmp_path) as ready:
        yield ready


def rows(bench: Bench) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [{key: value for key, value in row.items() if key not in NOT_THE_SAME} for row in table]
        for name, table in bench.tables(but={"outbox", "positions"}).items()
    }


async def test_who_is_known_has_the_rows_that_hearing_of_him_would_have_left(bench: Bench, database: Any) -> None:
    await bench.intake()  # A worker comes, so that the partition has a position.
    for number in range(3):
        fact = known.fact_about(number)
        arrival = Arrival(fact.envelope, fact, Origin(TOPIC, 0, number), b"", opened=True)
        await apply.apply(bench.tools(), Batch(GROUP, [arrival], {(TOPIC, 0): Span(number, number + 1)}))
    heard = rows(bench)
    bench.wipe()

    await known.fill(database.owner_url, 3, CATALOG)

    assert rows(bench) == heard
    assert len(heard["versions"]) == 3


async def test_everybody_is_put_in_once_and_counted(bench: Bench, database: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(known, "CHUNK", 40)
    told: list[int] = []

    await known.fill(database.owner_url, 101, CATALOG, told.append)

    ids = [row["customer_id"] for row in bench.table("customers")]
    assert ids == sorted(known.person(number).customer_id for number in range(101))
    assert told == [40, 40, 21]


async def test_numbers_that_some_would_be_left_out_of_are_refused(database: Any) -> None:
    with pytest.raises(ValueError, match="not all be met"):
        await known.fill(database.owner_url, 2 * known.STRIDE, CATALOG)
