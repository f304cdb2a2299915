"""Lifecycles: what may happen to one subscription, in its true order, and the events that Stripe would make of it.

The truth is kept beside the events, so that a fold of the events can be judged by it.  Many pauses are none: three
updates in one second are common here, and event ids say nothing about order, as in Stripe.
"""

import hashlib
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from typing import Final

from hypothesis import strategies as st

from models import lines, subscriptions
from models.base import Decision
from models.events import Event, SubscriptionAmended, SubscriptionChanged
from models.subscriptions import Line, State, Version
from tests.models.support_facts import MONTH, NOON, SHAPES, Json, event, subscription, version_of

PAUSES_SECONDS: Final = (0, 0, 0, 1, 2, 3600, MONTH)
LOOKUP_KEYS: Final = ("mid_monthly", "high_monthly", "high_yearly", "free_monthly")

Verb = Callable[[Json, int], Json]
"""What happens to a subscription in a second: the fields that are new by it."""


def _next_plan(body: Json, _: int) -> Json:
    following = LOOKUP_KEYS.index(body["lookup_key"]) + 1
    return {"lookup_key": LOOKUP_KEYS[following % len(LOOKUP_KEYS)]}


def _toggle_plan(body: Json, _: int) -> Json:
    return {"lookup_key": "high_monthly" if body["lookup_key"] == "mid_monthly" else "mid_monthly"}


def _cancel_or_keep(body: Json, now: int) -> Json:
    if body["cancel_at_period_end"]:
        return {"cancel_at_period_end": False, "cancel_at": None, "canceled_at": None}
    return {"cancel_at_period_end": True, "cancel_at": body["period"][1], "canceled_at": now}


UPDATES: Final[dict[str, Verb]] = {
    "more": lambda body, _: {"quantity": body["quantity"] + 1},
    "fewer": lambda body, _: {"quantity": max(body["quantity"] - 1, 1)},
    "next_plan": _next_plan,
    "toggle_plan": _toggle_plan,
    "renew": lambda body, _: {"period": (body["period"][1], body["period"][1] + MONTH)},
    "cancel_or_keep": _cancel_or_keep,
    "pause_or_go_on": lambda body, _: {"paused": not body["paused"]},
    "pay_or_owe": lambda body, _: {"status": "past_due" if body["status"] == "active" else "active"},
    "note": lambda body, _: {"note": body["note"] + "."},
}
REMIND: Final = "remind"
"""An event that tells no change: `trial_will_end`."""

STEPS: Final = (*UPDATES, REMIND)
ENDINGS: Final = ("lives", "deleted", "incomplete_expired", "deleted_then_noted")

Step = tuple[int, str]


@dataclass(frozen=True)
class Lifecycle:
    """The events of one subscription in their true order, as (after, before, kind, second)."""

    salt: int
    happenings: tuple[tuple[Json, Json | None, str, int], ...]

    def events(self, chance: random.Random | None = None, shapes: Sequence[str] = SHAPES) -> list[Json]:
        """The events in their true order, each in one of these shapes."""
        chance = chance or random.Random(self.salt)
        return [
            event(self._event_id(place), after, before, kind=kind, created=second, shape=chance.choice(shapes))
            for place, (after, before, kind, second) in enumerate(self.happenings)
        ]

    @cached_property
    def versions(self) -> tuple[Version, ...]:
        """The versions that these events make, in their true order."""
        return tuple(version_of(event) for event in self.events())

    @property
    def has_three_updates_in_one_second(self) -> bool:
        """Whether order within a second is anything but easy here."""
        seconds = [second for _, _, kind, second in self.happenings if kind == "updated"]
        return any(seconds.count(second) >= 3 for second in seconds)

    def _event_id(self, place: int) -> str:
        return "evt_" + hashlib.sha256(f"{self.salt}/{place}".encode()).hexdigest()[:12]


def play(salt: int, begins: str, steps: Sequence[Step], ending: str, subscription_id: str = "sub_1") -> Lifecycle:
    """Let a subscription begin, live through *steps*, and end."""
    now, body = NOON, subscription(id=subscription_id, status=begins)
    happenings: list[tuple[Json, Json | None, str, int]] = [(body, None, "created", now)]
    for pause, verb in (*steps, *_last_steps(ending)):
        now += pause
        if verb == REMIND:
            happenings.append((body, None, "trial_will_end", now))
        elif verb == "delete":
            body = body | {"status": "canceled", "canceled_at": body["canceled_at"] or now}
            happenings.append((body, None, "deleted", now))
        else:
            before, body = body, body | _update(verb)(body, now)
            happenings.append((body, before, "updated", now))
    return Lifecycle(salt, tuple(happenings))


def _update(verb: str) -> Verb:
    return (lambda _, __: {"status": "incomplete_expired"}) if verb == "expire" else UPDATES[verb]


def _last_steps(ending: str) -> tuple[Step, ...]:
    return {
        "lives": (),
        "deleted": ((0, "delete"),),
        "deleted_then_noted": ((0, "delete"), (0, "note")),
        "incomplete_expired": ((1, "expire"),),
    }[ending]


def at_random(seed: int, steps_max: int = 12, subscription_id: str = "sub_1") -> Lifecycle:
    """One lifecycle of the corpus; the same for the same seed."""
    chance = random.Random(seed)
    steps = [
        (chance.choice(PAUSES_SECONDS), chance.choice(STEPS))
        for _ in range(chance.randint(min(4, steps_max), steps_max))
    ]
    return play(seed, chance.choice(("active", "trialing")), steps, chance.choice(ENDINGS), subscription_id)


@cache
def corpus(count: int) -> tuple[Lifecycle, ...]:
    """The same *count* lifecycles for every test that compares rules with each other."""
    return tuple(at_random(seed) for seed in range(count))


def lifecycles(steps_max: int = 9) -> st.SearchStrategy[Lifecycle]:
    """Lifecycles that Hypothesis can make smaller."""
    step = st.tuples(st.sampled_from(PAUSES_SECONDS), st.sampled_from(STEPS))
    return st.builds(
        play,
        salt=st.integers(0, 2**32),
        begins=st.sampled_from(("active", "trialing", "incomplete")),
        steps=st.lists(step, max_size=steps_max),
        ending=st.sampled_from(ENDINGS),
    )


@dataclass(frozen=True, slots=True)
class Ending:
    """All that must not hang on the order of arrival."""

    line: Line
    states_said: frozenset[State]
    last_changed: State | None


def fold(arrivals: Iterable[Version]) -> Ending:
    """Hear versions of one subscription one after the other, on the whole line."""
    line: Line = ()
    said: list[Event] = []
    for version in arrivals:
        decision = decide(line, version)
        line = decision.state
        said.extend(decision.events)
    return ending(line, said)


def decide(line: Line, version: Version) -> Decision[Line, Event]:
    """`subscriptions.decide` for the subscription of these tests."""
    return subscriptions.decide(line, version, subscription_id="sub_1", account_id="ac_1")


def ending(line: Line, said: Iterable[Event]) -> Ending:
    """What came of it."""
    told = [event for event in said if isinstance(event, SubscriptionChanged | SubscriptionAmended)]
    changed = [event for event in told if isinstance(event, SubscriptionChanged)]
    return Ending(line, frozenset(map(_state, told)), _state(changed[-1]) if changed else None)


def _state(event: SubscriptionChanged | SubscriptionAmended) -> State:
    return State(**{name: getattr(event, name) for name in State.__struct_fields__})


def states(versions: Iterable[Version]) -> tuple[State, ...]:
    """What was shown, one after the other."""
    return tuple(version.state for version in versions)


def is_ambiguous(versions: Sequence[Version]) -> bool:
    """Whether ids had to decide when *versions* arrived in their true order, once a second was whole."""
    line: Line = ()
    unsure: dict[tuple[bool, datetime], bool] = {}
    for version in versions:
        woven = lines.weave(line, version)
        line, unsure[version.second] = woven.line, woven.ambiguous
    return any(unsure.values())


def shuffled(versions: Sequence[Version], chance: random.Random) -> list[Version]:
    """A shuffle in which a third of the versions comes more than once."""
    arrivals = [*versions, *chance.choices(versions, k=len(versions) // 3)]
    chance.shuffle(arrivals)
    return arrivals
