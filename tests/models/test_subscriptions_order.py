"""Whatever order the facts come in, the line, the present and what is said end the same."""

import itertools
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import lines
from models.base import Note
from models.events import Event
from models.subscriptions import Line, State, Version
from tests.models.support_facts import event, subscription, version_of
from tests.models.support_lifecycles import (
    Lifecycle,
    at_random,
    corpus,
    decide,
    ending,
    fold,
    is_ambiguous,
    lifecycles,
    shuffled,
    states,
)
from tests.models.support_shelf import LineShelf

CORPUS_COUNT = 250
SHUFFLES_EACH = 10

chances = st.builds(random.Random, st.integers(0, 2**32))


@settings(max_examples=150, deadline=None)
@given(lifecycles(), chances)
def test_any_order_and_any_duplication_ends_in_the_same_line_present_and_words(
    lifecycle: Lifecycle, chance: random.Random
) -> None:
    versions = lifecycle.versions

    assert fold(shuffled(versions, chance)) == fold(versions)


@settings(max_examples=100, deadline=None)
@given(lifecycles(), chances)
def test_facts_that_never_come_leave_the_rest_in_one_order(lifecycle: Lifecycle, chance: random.Random) -> None:
    some = [version for version in lifecycle.versions if chance.random() < 0.7] or [*lifecycle.versions]

    assert fold(shuffled(some, chance)) == fold(some)


def test_the_short_ways_take_a_fact_as_weaving_it_does() -> None:
    chance = random.Random(3)
    short = 0

    for lifecycle in corpus(CORPUS_COUNT):
        for arrivals in (lifecycle.versions, shuffled(lifecycle.versions, chance)):
            line: Line = ()
            for version in dict.fromkeys(arrivals):
                woven = lines.weave(line, version)
                taken = lines.take(line, version)
                assert taken.line == woven.line
                assert taken.place == next(at for at, one in enumerate(taken.line) if one.fact_id == version.fact_id)
                assert (taken.note is Note.AMBIGUOUS_ORDER) is woven.ambiguous
                last_stays = bool(line) and taken.line[-1].fact_id == line[-1].fact_id
                assert (taken.refusal is not None) is last_stays
                short += len(line) > 0 and version.second == line[-1].second and not last_stays
                line = taken.line
    assert short > CORPUS_COUNT, "hardly anything came behind others of its second"


class Counted(lines.LineState):
    count: int


def test_what_comes_behind_an_unsure_crowd_of_its_second_is_as_unsure() -> None:
    second = version_of(event("evt_0", subscription())).occurred_at
    line: lines.Line[Counted] = ()
    for fact_id, rank in (("evt_a", 1), ("evt_b", 1), ("evt_c", 2)):
        new = lines.Version(fact_id, second, rank, Counted(count=len(line)), None)
        woven, taken = lines.weave(line, new), lines.take(line, new)
        assert (taken.line, taken.note is Note.AMBIGUOUS_ORDER) == (woven.line, woven.ambiguous)
        line = taken.line

    assert taken.note is Note.AMBIGUOUS_ORDER


def test_thousands_of_shuffles_with_ties_end_the_same() -> None:
    chance = random.Random(1)

    for lifecycle in corpus(CORPUS_COUNT):
        versions = lifecycle.versions
        expected = fold(versions)
        for _ in range(SHUFFLES_EACH):
            assert fold(shuffled(versions, chance)) == expected, f"lifecycle {lifecycle.salt}"


def test_a_third_of_the_corpus_holds_three_updates_in_one_second() -> None:
    tied = sum(lifecycle.has_three_updates_in_one_second for lifecycle in corpus(CORPUS_COUNT))

    assert tied >= 0.3 * CORPUS_COUNT


@pytest.mark.parametrize("seed", range(12))
def test_all_permutations_of_a_short_lifecycle_end_the_same(seed: int) -> None:
    versions = at_random(seed, steps_max=4).versions[:6]
    expected = fold(versions)

    for arrivals in itertools.permutations(versions):
        assert fold(arrivals) == expected


@settings(max_examples=60, deadline=None)
@given(lifecycles(), chances)
def test_the_shape_that_each_fact_comes_in_does_not_matter(lifecycle: Lifecycle, chance: random.Random) -> None:
    again = tuple(version_of(event) for event in lifecycle.events(chance))

    assert again == lifecycle.versions


@settings(max_examples=150, deadline=None)
@given(lifecycles(), chances)
def test_the_newest_part_of_a_line_is_enough_to_hear_a_fact(lifecycle: Lifecycle, chance: random.Random) -> None:
    arrivals = shuffled(lifecycle.versions, chance)

    line, said, _ = _fold_in_batches(arrivals, chance)

    assert ending(line, said) == fold(arrivals)


def test_in_thousands_of_shuffles_the_newest_part_says_word_for_word_what_the_whole_line_says() -> None:
    chance = random.Random(2)
    loaded = possible = 0

    for lifecycle in corpus(CORPUS_COUNT):
        versions = lifecycle.versions
        for _ in range(SHUFFLES_EACH // 2):
            arrivals = shuffled(versions, chance)
            line, said, sizes = _fold_in_batches(arrivals, chance)
            assert (line, said) == _fold_whole(arrivals), f"lifecycle {lifecycle.salt}"
            loaded += sum(sizes)
            possible += len(sizes) * len(line)
    assert loaded < possible / 2, "hardly anything was cut off: this test shows nothing"


@settings(max_examples=150, deadline=None)
@given(lifecycles(), chances)
def test_every_version_is_said_once_at_least_and_nothing_else_is(lifecycle: Lifecycle, chance: random.Random) -> None:
    heard = fold(shuffled(lifecycle.versions, chance))

    assert heard.states_said == frozenset(states(heard.line))
    assert heard.last_changed == heard.line[-1].state


def test_what_the_facts_tell_of_their_order_is_the_worlds_truth() -> None:
    told = [lifecycle.versions for lifecycle in corpus(CORPUS_COUNT)]
    sure = [versions for versions in told if not is_ambiguous(versions)]

    for versions in sure:
        assert states(fold(versions).line) == states(versions)
    assert len(sure) >= 0.6 * CORPUS_COUNT, "of most lifecycles the facts tell the order"


Rule = Callable[[Version, Version], bool]


def _present_by(rule: Rule, arrivals: Sequence[Version]) -> State:
    present = arrivals[0]
    for version in arrivals[1:]:
        if rule(present, version):
            present = version
    return present.state


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(lambda present, new: present.occurred_at < new.occurred_at, id="created <"),
        pytest.param(lambda present, new: present.occurred_at <= new.occurred_at, id="created <="),
        pytest.param(lambda _, __: True, id="the last to arrive"),
    ],
)
def test_a_naive_rule_ends_wrong_where_ours_ends_right(rule: Rule) -> None:
    chance = random.Random(3)
    wrong = ours_wrong = tried = 0

    for lifecycle in corpus(CORPUS_COUNT):
        versions = lifecycle.versions
        if is_ambiguous(versions):
            continue
        arrivals = shuffled(versions, chance)
        truth = versions[-1].state
        tried += 1
        wrong += _present_by(rule, arrivals) != truth
        ours_wrong += fold(arrivals).line[-1].state != truth
    assert ours_wrong == 0
    assert wrong >= 0.05 * tried


def test_created_less_than_forgets_the_later_of_two_updates_in_one_second_even_in_order() -> None:
    in_order = [lifecycle.versions for lifecycle in corpus(CORPUS_COUNT)]
    wrong = [
        versions
        for versions in in_order
        if _present_by(lambda present, new: present.occurred_at < new.occurred_at, versions) != versions[-1].state
    ]

    assert wrong


def _fold_whole(arrivals: Sequence[Version]) -> tuple[Line, list[Event]]:
    line: Line = ()
    said: list[Event] = []
    for version in arrivals:
        decision = decide(line, version)
        line = decision.state
        said.extend(decision.events)
    return line, said


def _fold_in_batches(arrivals: Sequence[Version], chance: random.Random) -> tuple[Line, list[Event], list[int]]:
    """As the store does it: batch by batch, each on the part of the line that its floor asks for."""
    shelf = LineShelf()
    said: list[Event] = []
    sizes: list[int] = []
    rest = list(arrivals)
    while rest:
        size = chance.choice((1, 1, 2, 5))
        batch, rest = rest[:size], rest[size:]
        before = shelf.load({"sub_1": min(version.second for version in batch)})
        line = before.get("sub_1", ())
        sizes.append(len(line))
        for version in batch:
            decision = decide(line, version)
            line = decision.state
            said.extend(decision.events)
        shelf.save(before, {"sub_1": line})
    return shelf.whole("sub_1"), said, sizes
