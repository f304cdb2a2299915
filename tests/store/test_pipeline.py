"""Statements gather, leave together, and fail as they always did."""

from collections.abc import AsyncIterator
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import errors

from store.pipeline import GatheringConnection

LOCK = "SELECT pg_advisory_xact_lock(4711)"
IS_FREE = "SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711"


@pytest.fixture
async def connection(database: Any) -> AsyncIterator[GatheringConnection]:
    async with await GatheringConnection.connect(database.app_url, autocommit=True, prepare_threshold=0) as connection:
        yield connection


@pytest.fixture
async def onlooker(database: Any) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(database.app_url, autocommit=True) as connection:
        yield connection


async def is_free(onlooker: psycopg.AsyncConnection) -> bool:
    row = await (await onlooker.execute(IS_FREE)).fetchone()
    assert row is not None
    return bool(row[0])


async def test_nothing_leaves_before_an_answer_is_asked_for_and_then_everything_does(
    connection: GatheringConnection, onlooker: psycopg.AsyncConnection
) -> None:
    async with connection.pipeline():
        await connection.execute("BEGIN")
        await connection.execute(LOCK)
        answer = await connection.execute("SELECT 1 AS one")
        assert [await is_free(onlooker) for _ in range(20)] == [True] * 20
        assert await answer.fetchone() == (1,)
        assert not await is_free(onlooker)
        await connection.execute("COMMIT")
        assert not await is_free(onlooker)
    assert await is_free(onlooker)


async def test_answers_come_in_the_order_in_which_they_were_asked_for(connection: GatheringConnection) -> None:
    async with connection.pipeline():
        asked = [await connection.execute("SELECT %(number)s::int", {"number": number}) for number in range(200)]
        for number, cursor in reversed(list(enumerate(asked))):
            assert await cursor.fetchall() == [(number,)]


async def test_a_statement_that_comes_again_has_an_answer_of_its_own_each_time(connection: GatheringConnection) -> None:
    statement: LiteralString = "SELECT %(number)s::int"
    for first in (0, 10):
        async with connection.pipeline():
            asked = [await connection.execute(statement, {"number": first + number}) for number in range(3)]
            assert [await cursor.fetchall() for cursor in asked] == [[(first + number,)] for number in range(3)]


async def test_an_answer_can_be_read_until_the_next_pipeline_begins(connection: GatheringConnection) -> None:
    statement: LiteralString = "SELECT %(word)s::text"
    async with connection.pipeline():
        before = await connection.execute(statement, {"word": "before"})
    await connection.execute(statement, {"word": "in no pipeline"})
    assert await before.fetchall() == [("before",)]
    async with connection.pipeline():
        assert await connection.execute(statement, {"word": "after"}) is before


async def ask(connection: GatheringConnection, *statements: LiteralString, fetching: bool = False) -> None:
    async with connection.pipeline():
        for statement in statements:
            answer = await connection.execute(statement)
        if fetching:
            await answer.fetchall()


@pytest.mark.parametrize("fetching", [False, True])
@pytest.mark.parametrize("behind", [0, 1, 30])
async def test_an_error_comes_with_the_answers_and_leaves_a_connection_that_works(
    connection: GatheringConnection, behind: int, fetching: bool
) -> None:
    with pytest.raises(errors.DivisionByZero):
        await ask(connection, "SELECT 1", "SELECT 1/0", *["SELECT 2"] * behind, fetching=fetching)

    assert await (await connection.execute("SELECT 3")).fetchone() == (3,)


async def test_the_blocks_own_error_is_what_is_raised(connection: GatheringConnection) -> None:
    async def break_off() -> None:
        async with connection.pipeline():
            await connection.execute("SELECT 1/0")
            raise KeyError("mine")

    with pytest.raises(KeyError):
        await break_off()

    assert await (await connection.execute("SELECT 3")).fetchone() == (3,)
