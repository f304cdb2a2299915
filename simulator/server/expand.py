"""Expansion: an id gives way to the thing that it names, and a list that is only shown when asked for is shown."""

from collections.abc import Callable
from typing import Any, Final

from simulator.happenings import Json
from simulator.refusals import Refused

DEPTH_MAX: Final = 4
PATHS_MAX: Final = 100

Look = Callable[[str], Json | None]
"""From an id to the thing as it is shown, or None where there is none."""

Include = Callable[[Json, str], Json | None]
"""From a thing and a name to the list of that name which it shows only when asked; None where there is none."""


def checked(paths: list[str]) -> list[str]:
    """The *paths*; Refused where they are too many or too long, before anything is done."""
    if len(paths) > PATHS_MAX:
        raise Refused(f"You can expand {PATHS_MAX} properties at most.", param="expand")
    for path in paths:
        steps = path.split(".")
        if len(steps) > DEPTH_MAX + (steps[0] == "data"):
            raise Refused(f"You cannot expand more than {DEPTH_MAX} levels of a property ({path}).", param="expand")
    return paths


def expand(shown: Json, paths: list[str], look: Look, include: Include) -> None:
    """Expand all of *paths* in what is *shown*."""
    for path in paths:
        _Expansion(path, look, include).follow(shown, path.split("."))


class _Expansion:
    """One path on its way through a tree."""

    def __init__(self, path: str, look: Look, include: Include) -> None:
        self._path = path
        self._look = look
        self._include = include

    def follow(self, node: Any, steps: list[str]) -> None:
        """Expand what lies at the end of *steps*, and all on the way there."""
        if isinstance(node, list):
            for one in node:
                self.follow(one, steps)
        elif isinstance(node, dict) and steps:
            self._take(node, steps[0], last=len(steps) == 1)
            self.follow(node[steps[0]], steps[1:])

    def _take(self, node: Json, name: str, *, last: bool) -> None:
        value = node.get(name)
        if value is None:
            value = self._include(node, name)
            if value is None and name not in node:
                raise self._impossible()
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            node[name] = [self._found(one) for one in value]
        elif isinstance(value, str):
            node[name] = self._found(value)
        elif last and not isinstance(value, dict | list | None):
            raise self._impossible()
        else:
            node[name] = value

    def _found(self, thing_id: str) -> Json:
        found = self._look(thing_id)
        if found is None:
            raise self._impossible()
        return found

    def _impossible(self) -> Refused:
        return Refused(f"This property cannot be expanded ({self._path}).", param="expand")
