import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from simulator.refusals import Refused
from simulator.server.lists import Cursor, page_of, within
from tests.simulator_server.support import Pretend

THINGS = [f"thing_{number}" for number in range(23)]


def is_kept(thing: str) -> bool:
    return not thing.endswith("7")


KEPT = [thing for thing in THINGS if is_kept(thing)]


def page(cursor: Cursor) -> tuple[list[str], bool]:
    return page_of("thing", THINGS, is_kept, cursor, str)


@given(st.integers(1, 30))
def test_page_after_page_shows_everything_once_in_order(count_max: int) -> None:
    seen, has_more = page(Cursor(count_max))
    while has_more:
        more, has_more = page(Cursor(count_max, starting_after=seen[-1]))
        assert more
        seen += more

    assert seen == KEPT


@given(st.integers(1, 30))
def test_page_before_page_shows_everything_once_in_order(count_max: int) -> None:
    seen, has_more = page(Cursor(count_max, ending_before=THINGS[-1]))
    while has_more:
        more, has_more = page(Cursor(count_max, ending_before=seen[0]))
        assert more
        seen = more + seen

    assert [*seen, THINGS[-1]] == KEPT


def test_a_cursor_may_be_a_thing_that_is_not_on_the_list_any_more() -> None:
    assert page(Cursor(2, starting_after="thing_7")) == (["thing_8", "thing_9"], True)
    assert page(Cursor(2, ending_before="thing_7")) == (["thing_5", "thing_6"], True)


@pytest.mark.parametrize("cursor", [Cursor(starting_after="thing_99"), Cursor(ending_before="thing_99")])
def test_a_cursor_that_never_was_is_refused(cursor: Cursor) -> None:
    with pytest.raises(Refused, match="No such thing: 'thing_99'"):
        page(cursor)


@given(st.integers(-5, 5), st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), st.integers(-5, 5)))
def test_a_span_holds_the_moments_between_its_bounds(moment: int, span: dict[str, int]) -> None:
    holds = {"gt": moment.__gt__, "gte": moment.__ge__, "lt": moment.__lt__, "lte": moment.__le__}

    assert within(span, moment) == all(holds[bound](limit) for bound, limit in span.items())


async def test_the_library_pages_through_a_list_by_itself_both_ways(pretend: Pretend) -> None:
    made = [(await pretend.stripe.v1.customers.create_async({"name": f"{number}"})).id for number in range(7)]

    newest_first = await pretend.stripe.v1.customers.list_async({"limit": 3})
    oldest_first = await pretend.stripe.v1.customers.list_async({"limit": 3, "ending_before": made[0]})

    assert newest_first.has_more
    assert [one.id async for one in newest_first.auto_paging_iter()] == made[::-1]
    assert [one.id async for one in oldest_first.auto_paging_iter()] == made[1:]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"starting_after": "cus_nobody"}, "starting_after"),
        ({"ending_before": "cus_nobody"}, "ending_before"),
        ({"page": 2}, "page"),
    ],
)
async def test_a_page_that_cannot_be_is_refused(pretend: Pretend, params: dict[str, object], param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await pretend.stripe.v1.customers.list_async(params)

    assert (caught.value.http_status, caught.value.param) == (400, param)


async def test_a_list_is_of_what_was_made_in_the_span_asked_for(pretend: Pretend) -> None:
    made = []
    for _ in range(3):
        made.append(await pretend.stripe.v1.customers.create_async({}))
        await pretend.advance(seconds=10)

    second = made[1].created
    later = await pretend.stripe.v1.customers.list_async({"created": {"gt": second}})
    then = await pretend.stripe.v1.customers.list_async({"created": second})

    assert [one.id for one in later.data] == [made[2].id]
    assert [one.id for one in then.data] == [made[1].id]
