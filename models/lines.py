"""Lines: what one of Stripe's objects is now and has been, whatever order the facts about it come in.

Every fact carries the whole object, so the present is simply the last fact: the question is which one is last.  Stripe
does not keep order, and its `created` has one-second resolution, so neither `<` nor `<=` on it is right.  The order of
ours, from the strongest reason to the weakest:

1. **end**: a version of an object that has ended comes after every living one.  Ends are final.
2. **created**: the second in which Stripe made the event.
3. **rank**: within a second, how far along the object is (`created` first and `deleted` last; a draft before an invoice
   that is paid).
4. **chain**: the rest of one second is put in the order in which each fact's `previous_attributes` fit the fact before
   it best, starting from the last fact of the second before.
5. **tie**: what even that leaves open is decided by a number of the state's own (the more is refunded, the later), then
   by event id: the same way everywhere, and counted as ambiguous.  What Stripe showed when it was asked comes last.

A *line* is the history of one object in that order, or the newest part of it that a fact can still move.  A late, older
fact is woven in where it belongs; it amends the history and leaves the present alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import ne
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from msgspec.structs import astuple, replace

from models.base import Note, Refusal, Value

CHAIN_FACTS_MAX: Final = 9
"""So many facts of one second and rank are put in order by their chain; a larger crowd is ordered by tie and id."""

ANSWER_PREFIX: Final = "ans_"
"""What the ids of Stripe's answers begin with (`models.stripe_answers`); no event of Stripe's has such an id."""

FIRST: Final = 0
"""The rank of what is the first of its object: nothing was before it, so it fits behind anything."""


class LineState(Value, frozen=True):
    """An object as one fact showed it."""

    @property
    def ended(self) -> bool:
        """Whether nothing can follow but what follows an end."""
        return False

    @property
    def tie(self) -> int:
        """The larger, the later, where nothing else tells."""
        return 0


StateT = TypeVar("StateT", bound=LineState)

Second: TypeAlias = tuple[bool, datetime]
"""Whether the object has ended, and when: a group in which only rank, chain and tie can tell the order."""


class Version(Value, Generic[StateT], frozen=True):
    """The object as one fact showed it, and where that fact stands in the line."""

    fact_id: str
    occurred_at: datetime
    rank: int
    state: StateT
    before: StateT | None  # With the previous attributes put back; None when the fact tells no change.
    ordinal: int = 0  # Its place within its second.

    @property
    def ended(self) -> bool:
        """Whether the object is over in this version."""
        return self.state.ended

    @property
    def second(self) -> Second:
        """The group in which only rank, chain and tie can tell the order."""
        return (self.ended, self.occurred_at)


Line: TypeAlias = tuple[Version[StateT], ...]
"""Versions in order.  Of the oldest second in it, all or only the last one may be there: see `books.floors`."""


@dataclass(frozen=True, slots=True)
class Woven(Generic[StateT]):
    """A line with one more fact in it."""

    line: Line[StateT]
    ambiguous: bool


class Taken(Value, Generic[StateT], frozen=True):
    """What one more fact made of a line."""

    line: Line[StateT]
    place: int | None  # Where the fact came to stand; None when it was there already.
    refusal: Refusal | None = None
    note: Note | None = None

    @property
    def amends(self) -> bool:
        """Whether it tells how the object was once, and nobody knew."""
        return self.place is not None and self.place < len(self.line) - 1 and not _seen_beside(self.line, self.place)


def take(line: Line[StateT], new: Version[StateT]) -> Taken[StateT]:
    """Weave *new* into *line*; a fact that is in it already changes nothing."""
    if any(version.fact_id == new.fact_id for version in line):
        return Taken(line, None)
    if not line or new.second > line[-1].second:  # As most come: behind all that is known, and alone in its second.
        return Taken((*line, _numbered(new, 0)), len(line))
    if _ranks_tell(line, new):
        return Taken((*line, _numbered(new, line[-1].ordinal + 1)), len(line))
    woven = weave(line, new)
    place = next(index for index, version in enumerate(woven.line) if version.fact_id == new.fact_id)
    return Taken(
        woven.line,
        place,
        refusal=_refusal(woven.line, place, line[-1] if line else None),
        note=Note.AMBIGUOUS_ORDER if woven.ambiguous else None,
    )


def _ranks_tell(line: Line[StateT], new: Version[StateT]) -> bool:
    """Whether *new* is of the last second, farther along than all that is known of it, and nothing there is a crowd."""
    rank = new.rank
    for version in reversed(line):
        if version.second != new.second:
            break
        if version.rank >= rank:
            return False
        rank = version.rank
    return new.second == line[-1].second


def weave(line: Line[StateT], new: Version[StateT]) -> Woven[StateT]:
    """Put *new* where it belongs, and anew in order every second whose order hangs on it."""
    seconds = [tuple(group) for _, group in groupby(line, key=lambda version: version.second)]
    at = next((index for index, group in enumerate(seconds) if group[0].second >= new.second), len(seconds))
    joins = at < len(seconds) and seconds[at][0].second == new.second
    members = (*seconds[at], new) if joins else (new,)
    rest = seconds[at + 1 :] if joins else seconds[at:]
    done = seconds[:at]
    ordered, ambiguous = _in_order(members, done[-1][-1] if done else None)
    done.append(ordered)
    # The chain of a second starts at the last version of the one before: it may have to be told anew.
    for index, group in enumerate(rest):
        again, _ = _in_order(group, done[-1][-1])
        done.append(again)
        if again[-1].fact_id == group[-1].fact_id:
            done.extend(rest[index + 1 :])
            break
    return Woven(tuple(version for group in done for version in group), ambiguous)


def _refusal(line: Line[StateT], place: int, before: Version[StateT] | None) -> Refusal | None:
    new, last = line[place], line[-1]
    if before is None or last.fact_id != before.fact_id:
        return None  # The present is another fact now: this one, or one of its second that it put in another order.
    after_end = last.ended and not new.ended and any(end.ended and end.occurred_at < new.occurred_at for end in line)
    return Refusal.AFTER_END if after_end else Refusal.STALE


def _seen_beside(line: Line[StateT], place: int) -> bool:
    """Whether a neighbour shows the same state, so that this version tells nobody anything new."""
    neighbours = (*line[max(place - 1, 0) : place], *line[place + 1 : place + 2])
    return any(neighbour.state == line[place].state for neighbour in neighbours)


def _in_order(members: Sequence[Version[StateT]], start: Version[StateT] | None) -> tuple[Line[StateT], bool]:
    """The versions of one second in their order, numbered, and whether only their ids could tell it."""
    ordered: list[Version[StateT]] = []
    ambiguous = False
    by_rank = sorted(members, key=lambda version: version.rank)
    for _, crowd in groupby(by_rank, key=lambda version: version.rank):
        chain, unsure = _best_chain(tuple(sorted(crowd, key=_last_resort)), start)
        ordered.extend(chain)
        ambiguous |= unsure
        start = ordered[-1]
    return tuple(_numbered(version, ordinal) for ordinal, version in enumerate(ordered)), ambiguous


def _last_resort(version: Version[StateT]) -> tuple[bool, int, str]:
    """What puts in order those that nothing else does: an answer was asked for behind what it is asked about."""
    return (version.fact_id.startswith(ANSWER_PREFIX), version.state.tie, version.fact_id)


def _numbered(version: Version[StateT], ordinal: int) -> Version[StateT]:
    return version if version.ordinal == ordinal else replace(version, ordinal=ordinal)


class _Chain(NamedTuple):
    """A way through some of a second's versions: what does not fit on it, and whether another way fits as well."""

    misfits: int
    path: tuple[int, ...]
    unsure: bool = False


def _best_chain(crowd: Line[StateT], start: Version[StateT] | None) -> tuple[Line[StateT], bool]:
    """The order in which each version fits the one before it best; ties go to the smaller ids.

    Held and Karp's way through all subsets, here sets of bits: the best chain through a set that ends in a given
    version.  *crowd* comes sorted by tie and id, so that comparing paths by index compares them by these.
    """
    count = len(crowd)
    if count == 1 or count > CHAIN_FACTS_MAX:
        return crowd, count > CHAIN_FACTS_MAX
    links = [[_misfits(previous, version) for version in crowd] for previous in crowd]
    chains = {(1 << last, last): _Chain(_misfits(start, version), (last,)) for last, version in enumerate(crowd)}
    everyone = (1 << count) - 1
    for members in range(1, everyone + 1):  # Every set comes after its subsets.
        for last in range(count):
            others = members & ~(1 << last)
            if others and others != members:
                ends = (chains[others, previous] for previous in range(count) if others >> previous & 1)
                chains[members, last] = _best(crowd, [_extended(chain, last, links) for chain in ends])
    best = _best(crowd, [chains[everyone, last] for last in range(count)])
    return tuple(crowd[index] for index in best.path), best.unsure


def _extended(chain: _Chain, last: int, links: Sequence[Sequence[int]]) -> _Chain:
    return _Chain(chain.misfits + links[chain.path[-1]][last], (*chain.path, last), chain.unsure)


def _best(crowd: Line[StateT], chains: Sequence[_Chain]) -> _Chain:
    """The chain with the fewest misfits, unsure if another one has as few and tells another story."""
    first = min(chains)
    tied = [chain for chain in chains if chain.misfits == first.misfits]
    if len(tied) == 1:
        return first
    told = _told(crowd, first)
    return first._replace(unsure=any(chain.unsure or _told(crowd, chain) != told for chain in tied))


def _told(crowd: Line[StateT], chain: _Chain) -> list[StateT]:
    return [crowd[index].state for index in chain.path]


def _misfits(previous: Version[StateT] | None, version: Version[StateT]) -> int:
    """How many fields of the version before contradict what this one says was before it.

    A fact that tells no change (a trial's reminder, say) only observes: it fits behind a version that shows the same.
    A `created` fits anywhere, since nothing was before it.
    """
    if previous is None or version.rank == FIRST:
        return 0
    expected = version.before or version.state
    return sum(map(ne, astuple(previous.state), astuple(expected)))
