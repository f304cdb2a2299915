"""Columns arrive in PostgreSQL as they left, whatever is in them."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, LiteralString

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store import arrays
from store.arrays import Bigints, Booleans, Byteas, Column, Moments, Texts

ECHO: dict[type[Column], LiteralString] = {
    Texts: "SELECT %b::text[]",
    Byteas: "SELECT %b::bytea[]",
    Bigints: "SELECT %b::bigint[]",
    Booleans: "SELECT %b::boolean[]",
    Moments: "SELECT %b::timestamptz[]",
}
ELEMENTS: dict[type[Column], st.SearchStrategy[Any]] = {
    Texts: st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    Byteas: st.binary(),
    Bigints: st.integers(-(2**63), 2**63 - 1),
    Booleans: st.booleans(),
    Moments: st.datetimes(
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=-11)), timezone(timedelta(hours=14))])
    ),
}


def echoed(url: str, column: Column) -> list[Any]:
    with psycopg.connect(url, options="-c TimeZone=UTC") as connection:
        arrays.register(connection)
        row = connection.execute(ECHO[type(column)], [column]).fetchone()
    assert row is not None
    values: list[Any] = row[0]
    return values


@pytest.mark.parametrize("kind", list(ELEMENTS), ids=lambda kind: kind.__name__)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_column_arrives_as_it_left(shared_database: tuple[str, str], kind: type[Column], data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | ELEMENTS[kind], max_size=20))

    assert echoed(shared_database[0], kind(values)) == values


def test_a_column_may_be_empty_and_may_hold_nothing_but_null(shared_database: tuple[str, str]) -> None:
    for kind in ELEMENTS:
        assert echoed(shared_database[0], kind()) == []
        assert echoed(shared_database[0], kind([None, None])) == [None, None]


def test_a_column_is_one_attribute_of_every_row() -> None:
    assert Bigints.of([datetime(2026, 1, 2, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)], "year") == [2026, 2027]


def test_a_moment_without_an_offset_is_refused_and_so_is_what_no_bigint_holds(shared_database: tuple[str, str]) -> None:
    with pytest.raises(TypeError, match="offset-naive"):
        echoed(shared_database[0], Moments([datetime(2026, 1, 1)]))  # noqa: DTZ001  # The mistake it is about.
    with pytest.raises(Exception, match="int too large"):
        echoed(shared_database[0], Bigints([2**63]))
