"""The words of a scenario."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from simulator.catalog import PACKS, PLAN_OFFERS
from simulator.clock import DAY_SECONDS, HOUR_SECONDS

UNITS: Final = {"m": 60, "h": HOUR_SECONDS, "d": DAY_SECONDS}
_LENGTH: Final = re.compile(r"(\d{1,5})([mhd])")
SOLD: Final = (*PLAN_OFFERS, *PACKS)


class _Word(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _seconds(written: str) -> int:
    found = _LENGTH.fullmatch(written.strip())
    if found is None:
        raise ValueError(f"{written!r} is no length of time: 30m, 5h and 14d are")
    return int(found[1]) * UNITS[found[2]]


def _span(written: Any) -> Any:
    if not isinstance(written, str):
        return written
    least, _, most = written.partition("..")
    span = (_seconds(least), _seconds(most or least))
    if span[0] > span[1]:
        raise ValueError(f"{written!r} ends before it begins")
    return span


def _several(given: Any) -> Any:
    return given if isinstance(given, (list, tuple)) else (given,)


def _sold(names: Sequence[str]) -> Sequence[str]:
    for name in names:
        if name not in SOLD:
            raise ValueError(f"{name!r} is not sold: {', '.join(SOLD)} are")
    return names


def _plans(names: Sequence[str]) -> Sequence[str]:
    for name in names:
        if name not in PLAN_OFFERS:
            raise ValueError(f"{name!r} is no plan: {', '.join(PLAN_OFFERS)} are")
    return names


Span = Annotated[tuple[int, int], BeforeValidator(_span)]
"""From so many seconds to so many: `14d`, or `5h..3d`."""

Choice = Annotated[tuple[str, ...], BeforeValidator(_several), Field(min_length=1)]
"""One, or a list of which chance takes one."""

Offers = Annotated[Choice, BeforeValidator(lambda given: _sold(_several(given)))]
Plans = Annotated[Choice, BeforeValidator(lambda given: _plans(_several(given)))]
Share = Annotated[float, Field(gt=0, le=1)]


class Checkout(_Word):
    """Go to Checkout for a plan or a pack; pay with *card* after those that are *declined*, or leave."""

    buy: Offers
    card: Choice = ("pm_card_visa",)
    declined: tuple[str, ...] = ()
    trial_days: Annotated[int, Field(ge=0, le=730)] = 0
    promotion: bool = False  # Type in the code for a quarter off.
    guest: bool = False  # Without becoming a customer.
    leave: bool = False


class Portal(_Word):
    """Visit the Portal, and do one thing there."""

    card: Choice | None = None
    plan: Plans | None = None
    do: Literal["cancel", "resume"] | None = None

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if sum(one is not None for one in (self.card, self.plan, self.do)) != 1:
            raise ValueError("a visit to the Portal has one of card, plan and do")
        return self


class ChangePlan(_Word):
    """The platform changes the plan: now, with proration, or at the period's end, by a schedule."""

    to: Plans
    when: Literal["now", "period_end"] = "now"


class Refund(_Word):
    """The platform gives back a part of what was paid last, or what is left of it."""

    part: Share = 1.0


class Dispute(_Word):
    """The bank takes back what was paid last, or asks first; the platform's evidence decides."""

    reason: str = "fraudulent"
    inquiry: bool = False
    evidence: Literal["wins", "loses", "none"] = "none"


Deed = Literal["resume", "pause", "unpause", "authenticate", "warn", "delete"]


class Step(_Word):
    """One step of a life: exactly one of these."""

    wait: Span | None = None
    checkout: Checkout | None = None
    portal: Portal | None = None
    change_plan: ChangePlan | None = None
    cancel: Literal["now", "period_end"] | None = None
    refund: Refund | None = None
    dispute: Dispute | None = None
    do: Deed | None = None
    chance: Share = 1.0  # Of those who come here, so many do it.

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        names = [name for name in type(self).model_fields if name != "chance" and getattr(self, name) is not None]
        if len(names) != 1:
            known = ", ".join(name for name in type(self).model_fields if name != "chance")
            raise ValueError(f"a step is exactly one of {known}")
        return self


class Life(_Word):
    """What somebody does, one step after the other."""

    share: Annotated[float, Field(gt=0)] = 1.0
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]


class Scenario(_Word):
    """Who lives there, for how long, and within which time they come."""

    about: Annotated[str, Field(min_length=1)]
    subscribers: Annotated[int, Field(ge=1)] = 20
    days: Annotated[int, Field(ge=1, le=3_660)] = 365
    arrive: Annotated[Span, Field(description="From the first day on.")] = (0, 45 * DAY_SECONDS)
    lives: Annotated[dict[str, Life], Field(min_length=1)]
