"""The examples that explain the order of a line, one rule at a time, and what is said about it."""

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.base import Note, Refusal
from models.events import AlertRaised, SubscriptionAmended, SubscriptionChanged
from models.lines import CHAIN_FACTS_MAX
from models.subscriptions import ARROWS, ENDS, Line, Status, Version
from tests.models.support_facts import NOON, subscription, version, version_of
from tests.models.support_facts import event as an_event
from tests.models.support_lifecycles import decide, fold, states

A = subscription(quantity=1)
B = subscription(quantity=2)
C = subscription(quantity=3)
OVER = subscription(status="canceled", canceled_at=NOON + 5)


def line_of(*arrivals: Version) -> Line:
    return fold(arrivals).line


def ids(line: Line) -> list[str]:
    return [version.fact_id for version in line]


def quantities(line: Line) -> list[int | None]:
    return [version.state.quantity for version in line]


# The order, from the strongest reason to the weakest.


def test_a_later_second_comes_later() -> None:
    line = line_of(version("evt_1", B, A, created=NOON + 1), version("evt_2", A, None, kind="created", created=NOON))

    assert ids(line) == ["evt_2", "evt_1"]


def test_created_comes_first_and_deleted_last_in_their_second() -> None:
    created = version("evt_9", A, kind="created")
    updated = version("evt_5", B, A)
    deleted = version("evt_1", OVER, kind="deleted")

    assert ids(line_of(deleted, updated, created)) == ["evt_9", "evt_5", "evt_1"]


def test_created_comes_first_also_where_the_changes_would_fit_before_it() -> None:
    circle = [version("evt_1", B, A), version("evt_2", A, B)]

    assert ids(line_of(*circle, version("evt_9", A, kind="created"))) == ["evt_9", "evt_1", "evt_2"]


def test_deleted_comes_last_also_among_what_shows_the_same() -> None:
    noted = version("evt_2", OVER | {"note": "gone"}, OVER)

    assert ids(line_of(version("evt_1", OVER, kind="deleted"), noted)) == ["evt_2", "evt_1"]


def test_within_a_second_each_change_follows_the_one_it_builds_on() -> None:
    first = version("evt_9", B, A)
    second = version("evt_5", C, B)
    third = version("evt_1", subscription(quantity=4), C)

    assert ids(line_of(third, first, second)) == ["evt_9", "evt_5", "evt_1"]


def test_there_and_back_in_one_second_ends_where_the_second_before_began() -> None:
    start = version("evt_0", A, kind="created", created=NOON - 1)
    there, back = version("evt_9", B, A), version("evt_1", A, B)

    line = line_of(back, there, start)

    assert ids(line) == ["evt_0", "evt_9", "evt_1"]
    assert quantities(line) == [1, 2, 1]


def test_there_and_back_and_there_again_in_one_second_ends_there() -> None:
    start = version("evt_0", A, kind="created", created=NOON - 1)
    toggles = [version("evt_7", B, A), version("evt_1", A, B), version("evt_3", B, A)]

    assert quantities(line_of(*toggles, start)) == [1, 2, 1, 2]


def test_a_circle_is_cut_where_the_second_before_ended() -> None:
    circle = [version("evt_1", C, B), version("evt_2", A, C), version("evt_3", B, A)]

    for body, expected in ((A, [1, 2, 3, 1]), (B, [2, 3, 1, 2]), (C, [3, 1, 2, 3])):
        start = version("evt_0", body, kind="created", created=NOON - 1)
        assert quantities(line_of(*circle, start)) == expected


def test_where_a_change_is_missing_the_order_that_contradicts_least_counts() -> None:
    start = version("evt_0", A, kind="created", created=NOON - 1)
    far = version("evt_1", subscription(quantity=3, paused=True), subscription(quantity=3))
    near = version("evt_9", B, A)

    assert ids(line_of(far, near, start)) == ["evt_0", "evt_9", "evt_1"]


def test_a_fact_that_only_observes_stands_behind_what_it_shows() -> None:
    start = version("evt_0", A, kind="created", created=NOON - 1)
    change = version("evt_9", B, A)
    reminder = version("evt_1", B, kind="trial_will_end")

    assert ids(line_of(reminder, change, start)) == ["evt_0", "evt_9", "evt_1"]


def test_a_change_of_what_nobody_reads_tells_its_place_all_the_same() -> None:
    start = version("evt_0", A, kind="created", created=NOON - 1)
    change = version("evt_9", B, A)
    note = version("evt_1", B | {"note": "saved"}, B)

    assert ids(line_of(note, change, start)) == ["evt_0", "evt_9", "evt_1"]


def test_what_nothing_tells_apart_the_event_id_decides_and_it_is_counted() -> None:
    start = version("evt_0", A, kind="created", created=NOON - 1)
    one, other = version("evt_2", B, A), version("evt_1", C, A)

    for arrivals in ((one, other), (other, one)):
        line = line_of(start, arrivals[0])
        decision = decide(line, arrivals[1])
        assert ids(decision.state) == ["evt_0", "evt_1", "evt_2"]
        assert decision.note is Note.AMBIGUOUS_ORDER


def test_a_circle_without_a_beginning_is_ambiguous() -> None:
    line = line_of(version("evt_1", B, A))

    assert decide(line, version("evt_2", A, B)).note is Note.AMBIGUOUS_ORDER


def test_an_order_that_shows_the_same_whichever_way_is_not_ambiguous() -> None:
    start = version("evt_0", A, kind="created", created=NOON - 1)
    line = line_of(start, version("evt_1", B, A), version("evt_2", B, kind="trial_will_end"))

    assert decide(line, version("evt_3", B, B)).note is None


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.none() | st.integers(1, 3)), min_size=2, max_size=5))
@example([(3, 2), (3, 2), (3, 2), (2, 1), (3, 1)])  # The other way hides behind one that tells the same as ours.
def test_an_order_is_ambiguous_exactly_when_another_one_fits_as_well_and_tells_something_else(
    changes: list[tuple[int, int | None]],
) -> None:
    start = version("evt_", A, kind="created", created=NOON - 1)
    crowd = [
        version(f"evt_{number}", subscription(quantity=after), subscription(quantity=before) if before else None)
        for number, (after, before) in enumerate(changes)
    ]

    decision = decide(line_of(start, *crowd[:-1]), crowd[-1])

    ways = list(itertools.permutations(changes))
    fewest = min(map(_contradictions, ways))
    told = {tuple(after for after, _ in way) for way in ways if _contradictions(way) == fewest}
    assert quantities(decision.state[1:]) in [list(way) for way in told]
    assert (decision.note is Note.AMBIGUOUS_ORDER) == (len(told) > 1)


def _contradictions(way: Sequence[tuple[int, int | None]]) -> int:
    """How often a change does not build on the one before it, beginning at A."""
    links = itertools.pairwise([(1, None), *way])
    return sum(earlier != (after if before is None else before) for (earlier, _), (after, before) in links)


def test_a_late_older_fact_can_turn_the_order_of_the_second_after_it() -> None:
    circle = [version("evt_1", B, A), version("evt_2", A, B)]
    before = line_of(version("evt_0", A, kind="created", created=NOON - 9), *circle)
    assert quantities(before) == [1, 2, 1]

    decision = decide(before, version("evt_late", B, A, created=NOON - 1))

    assert ids(decision.state) == ["evt_0", "evt_late", "evt_2", "evt_1"]
    assert [type(event) for event in decision.events] == [SubscriptionAmended, SubscriptionChanged]
    assert decision.refusal is None, "the present is another one now"


def test_the_turn_goes_on_from_second_to_second_until_an_end_stays() -> None:
    seconds = [
        version(f"evt_{n}{x}", *pair, created=NOON + n) for n in (1, 2, 3) for x, pair in enumerate(((B, A), (A, B)))
    ]
    before = line_of(version("evt_0", A, kind="created", created=NOON - 9), *seconds)
    assert quantities(before) == [1, 2, 1, 2, 1, 2, 1]

    after = decide(before, version("evt_late", B, A)).state

    assert quantities(after) == [1, 2, 1, 2, 1, 2, 1, 2]
    assert after == line_of(*reversed(after))


def test_a_crowd_beyond_what_a_chain_is_looked_for_in_is_ordered_by_id_and_counted() -> None:
    crowd = [
        version(f"evt_{n:02}", subscription(quantity=n + 1), subscription(quantity=n))
        for n in range(CHAIN_FACTS_MAX + 3, 0, -1)
    ]
    random.Random(1).shuffle(crowd)
    line = line_of(*crowd)

    assert ids(line) == sorted(version.fact_id for version in crowd)
    assert decide(line, version("evt_99", A, B)).note is Note.AMBIGUOUS_ORDER
    assert fold(reversed(crowd)) == fold(crowd)


def test_the_largest_crowd_that_is_chained_is_chained_right() -> None:
    crowd = [
        version(f"evt_{9 - n}", subscription(quantity=n + 1), subscription(quantity=n))
        for n in range(1, CHAIN_FACTS_MAX + 1)
    ]
    random.Random(2).shuffle(crowd)

    assert quantities(line_of(*crowd)) == list(range(2, CHAIN_FACTS_MAX + 2))


# Ends are final.


@pytest.mark.parametrize("end", [OVER, subscription(status="incomplete_expired")])
def test_an_end_is_final_whenever_the_rest_arrives(end: dict[str, object]) -> None:
    over = version("evt_1", end, kind="updated", created=NOON + 5)
    late = version("evt_2", B, A, created=NOON + 9)

    decision = decide(line_of(over), late)

    assert decision.refusal is Refusal.AFTER_END
    assert decision.state[-1] == over
    assert not [event for event in decision.events if isinstance(event, SubscriptionChanged)]
    assert line_of(late, over) == decision.state


def test_life_in_or_before_the_second_of_the_end_is_only_stale() -> None:
    over = version("evt_1", OVER, kind="deleted", created=NOON + 5)

    for second in (NOON + 5, NOON):
        assert decide(line_of(over), version("evt_2", B, A, created=second)).refusal is Refusal.STALE


def test_of_two_ends_the_later_is_the_present() -> None:
    over = version("evt_2", OVER, kind="deleted", created=NOON + 5)
    noted = version("evt_1", OVER | {"canceled_at": NOON + 7}, OVER, created=NOON + 7)

    assert line_of(noted, over)[-1].fact_id == "evt_1"


def test_every_status_of_stripes_has_its_arrows_and_the_ends_have_none() -> None:
    assert set(ARROWS) == set(Status)
    assert {Status.CANCELED, Status.INCOMPLETE_EXPIRED} == ENDS


# What is said.


def test_the_first_fact_says_how_it_is() -> None:
    decision = decide((), version("evt_1", A, kind="created"))

    (said,) = decision.events
    assert isinstance(said, SubscriptionChanged)
    assert (said.subject, said.account_id, said.plan, said.quantity) == ("sub_1", "ac_1", "mid", 1)
    assert decision.refusal is None


def test_a_change_of_what_nobody_reads_says_nothing() -> None:
    line = line_of(version("evt_1", A, kind="created"))

    assert decide(line, version("evt_2", A | {"note": "x"}, A, created=NOON + 1)).events == ()


def test_a_fact_heard_twice_is_heard_once() -> None:
    first = version("evt_1", A, kind="created")
    line = line_of(first, version("evt_2", B, A, created=NOON + 1))

    again = decide(line, first)

    assert (again.state, again.events, again.refusal) == (line, (), None)


def test_a_late_older_fact_amends_the_history_and_leaves_the_present_alone() -> None:
    line = line_of(version("evt_1", A, kind="created"), version("evt_3", C, B, created=NOON + 9))

    decision = decide(line, version("evt_2", B, A, created=NOON + 5))

    (said,) = decision.events
    assert isinstance(said, SubscriptionAmended)
    assert (said.quantity, said.as_of) == (2, version("evt_2", B, A, created=NOON + 5).occurred_at)
    assert decision.refusal is Refusal.STALE
    assert decision.state[-1] == line[-1]


def test_a_late_fact_that_shows_what_its_neighbour_shows_is_not_worth_a_word() -> None:
    line = line_of(version("evt_1", A, kind="created"), version("evt_3", C, B, created=NOON + 9))

    assert decide(line, version("evt_2", A, kind="trial_will_end", created=NOON + 5)).events == ()


def test_a_price_that_is_not_for_sale_is_an_alert_once() -> None:
    odd = subscription(lookup_key="gold_monthly")
    first = decide((), version("evt_1", odd, kind="created"))
    second = decide(first.state, version("evt_2", odd | {"quantity": 4}, odd, created=NOON + 1))

    assert [type(event) for event in first.events] == [SubscriptionChanged, AlertRaised]
    assert first.state[-1].state.plan is None
    assert first.state[-1].state.price_lookup_key == "gold_monthly"
    assert [type(event) for event in second.events] == [SubscriptionChanged]


def test_the_plan_item_is_the_one_that_is_for_sale_wherever_it_stands() -> None:
    event = an_event("evt_1", A, kind="created")
    items = event["data"]["object"]["items"]["data"]
    items.insert(0, {"price": {"id": "price_support", "lookup_key": None}, "quantity": 7})

    state = version_of(event).state

    assert (state.plan, state.price_lookup_key, state.quantity) == ("mid", "mid_monthly", 1)


def test_a_subscription_without_items_has_no_plan() -> None:
    event = an_event("evt_1", A, kind="created")
    event["data"]["object"]["items"]["data"] = []

    state = version_of(event).state

    assert (state.plan, state.price_lookup_key, state.billing_interval, state.current_period_end) == (None,) * 4


def test_a_line_is_numbered_within_each_second() -> None:
    line = line_of(
        version("evt_1", A, kind="created"), version("evt_2", B, A), version("evt_3", C, B, created=NOON + 1)
    )

    assert [one.ordinal for one in line] == [0, 1, 0]
    assert len(states(line)) == 3
