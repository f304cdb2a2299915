"""From what was seen to what is told: a pure function, and the problems that make a trial worthless."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.answers import NO_ANSWER, Answers
from bench.cost import Cost, cpu_us_per_event
from bench.trial import Load, Quantiles, Trial

OK_MIN: Final = 200
OK_MAX: Final = 299


@dataclass(frozen=True, slots=True)
class InBooks:
    """What a whole side made of the load."""

    committed_at: dict[str, float | None]  # By fact; None for one that is kept and was never seen.
    kept: int  # Rows; more than there are facts when a copy was heard twice.
    parked: int
    to_say: int  # Events that were decided on.
    said: int  # Messages that left.
    said_at: float  # When the last one was seen to have left.
    waiting: int = 0  # Of what is kept, so many still wait for their owner.


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was seen of one trial.  Moments are of one monotonic clock."""

    side: str
    load: Load
    answers: Answers
    arrived: int  # Messages that came into the door's topic.
    in_books: InBooks | None
    before: Cost
    after: Cost
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    problems: Sequence[str] = ()  # Seen on the way.


@dataclass(frozen=True, slots=True)
class _Answered:
    """The answers by what they were."""

    statuses: dict[str, int]
    ok: int  # Requests with a 2xx, copies among them.
    copies: int
    due: dict[str, float]  # Of each accepted event: when its first request was due.
    taken_ms: list[float]
    accepted_at: dict[str, float]  # Its first 2xx.


def judge(seen: Evidence) -> Trial:
    """What there is to say of a trial."""
    answered = _answered(seen.answers)
    began = min(seen.answers.due, default=0.0)
    committed = _committed(seen.in_books)
    ours = {fact_id: at for fact_id, at in committed.items() if fact_id in answered.due}
    return Trial(
        side=seen.side,
        load=seen.load,
        statuses=answered.statuses,
        accepted=len(answered.due),
        committed=len(ours),
        duplicates=answered.copies,
        said=seen.in_books.said if seen.in_books else 0,
        seconds=_seconds(seen.in_books, max(seen.answers.answered, default=began), ours, began),
        answer_ms=quantiles(answered.taken_ms),
        commit_ms=quantiles([(at - answered.due[fact_id]) * 1e3 for fact_id, at in ours.items()]),
        cpu_us_per_event=_rounded(cpu_us_per_event(seen.before, seen.after, len(answered.due))),
        rss_mb=_memory(seen.before, seen.after),
        problems=[*seen.problems, *_problems(seen, answered, len(ours))],
        rss_series_mb=seen.series,
        waiting=seen.in_books.waiting if seen.in_books else 0,
        behind_max=most_behind(answered.accepted_at.values(), ours.values()) if seen.in_books else 0,
    )


def quantiles(milliseconds: list[float]) -> Quantiles:
    """The nearest ranks; all zero of nothing."""
    ordered = sorted(milliseconds) or [0.0]

    def rank(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)

    return Quantiles(len(milliseconds), rank(0.5), rank(0.9), rank(0.99), rank(0.999), round(ordered[-1], 3))


def most_behind(begun: Iterable[float], done: Iterable[float]) -> int:
    """The most that had begun and were not done at any one moment."""
    steps = sorted([(moment, 1) for moment in begun] + [(moment, -1) for moment in done])
    behind = most = 0
    for _, step in steps:
        behind += step
        most = max(most, behind)
    return most


def _answered(answers: Answers) -> _Answered:
    statuses = Counter(answers.statuses)
    found = _Answered(
        {"none" if status == NO_ANSWER else str(status): count for status, count in sorted(statuses.items())},
        sum(count for status, count in statuses.items() if OK_MIN <= status <= OK_MAX),
        sum(copy for copy, status in zip(answers.copies, answers.statuses, strict=True) if OK_MIN <= status <= OK_MAX),
        {},
        [],
        {},
    )
    rows = zip(answers.events, answers.due, answers.answered, answers.statuses, strict=True)
    for event, due, answered, status in rows:
        if OK_MIN <= status <= OK_MAX:
            fact_id = answers.fact_ids[event]
            found.due[fact_id] = min(due, found.due.get(fact_id, due))
            found.accepted_at[fact_id] = min(answered, found.accepted_at.get(fact_id, answered))
            found.taken_ms.append((answered - due) * 1e3)
    return found


def _committed(in_books: InBooks | None) -> dict[str, float]:
    if in_books is None:
        return {}
    return {fact_id: at for fact_id, at in in_books.committed_at.items() if at is not None}


def _seconds(in_books: InBooks | None, answered: float, ours: dict[str, float], began: float) -> dict[str, float]:
    seconds = {"accepted": answered - began}
    if in_books is not None:
        seconds |= {"committed": max(ours.values(), default=began) - began, "said": in_books.said_at - began}
    return _rounded(seconds)


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def _memory(before: Cost, after: Cost) -> dict[str, tuple[float, float]]:
    both = sorted(before.rss_mb.keys() & after.rss_mb.keys())
    return {name: (round(before.rss_mb[name], 1), round(after.rss_mb[name], 1)) for name in both}


def _problems(seen: Evidence, answered: _Answered, committed: int) -> list[str]:
    """What should not have been, in words."""
    bad = {status: count for status, count in answered.statuses.items() if not status.startswith("2")}
    accepted = len(answered.due)
    wrong = {
        f"answers that were no 2xx: {bad}": bool(bad),
        f"{accepted} of {seen.load.events} events were accepted": accepted != seen.load.events,
        f"{answered.ok} requests were accepted, and {seen.arrived} messages came into the topic": answered.ok
        != seen.arrived,
    }
    found = [problem for problem, holds in wrong.items() if holds]
    return found + (_problems_of_books(seen.in_books, accepted, committed) if seen.in_books else [])


def _problems_of_books(books: InBooks, accepted: int, committed: int) -> list[str]:
    wrong = {
        f"{accepted} events were accepted, and {committed} committed": accepted != committed,
        f"{books.kept} facts were kept for {accepted} events": books.kept != accepted,
        f"{books.parked} facts were parked": bool(books.parked),
        f"{books.to_say} events were to be said, and {books.said} were": books.to_say != books.said,
    }
    return [problem for problem, holds in wrong.items() if holds]
