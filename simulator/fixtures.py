"""Fixtures: one event of each kind out of one small, fixed story; the same bytes every time."""

from functools import cache
from typing import Final

from simulator.happenings import Happening
from simulator.shapes import BASIL, render, wire
from simulator.story import tell

FIXTURE_SEED: Final = 2027
FIXTURE_SUBSCRIBERS: Final = 40


def fixture(name: str, api_version: str = BASIL) -> bytes:
    """The first event of type *name* as an endpoint of *api_version* receives it; KeyError when there is none."""
    return wire(render(_happenings()[name], api_version))


def names() -> tuple[str, ...]:
    """The types there are fixtures of."""
    return tuple(sorted(_happenings()))


@cache
def _happenings() -> dict[str, Happening]:
    first: dict[str, Happening] = {}
    for happening in tell(FIXTURE_SEED, FIXTURE_SUBSCRIBERS).happenings:
        first.setdefault(happening.type, happening)
    return first
