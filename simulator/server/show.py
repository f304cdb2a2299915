"""How an answer is shown: in the shape of the version that was asked for, with what was to be expanded."""

from copy import deepcopy
from typing import Final

from simulator.happenings import Json
from simulator.server.desk import Desk
from simulator.server.expand import expand
from simulator.server.includes import included
from simulator.server.lists import Found, Page
from simulator.shapes import render_object

_AS_THEY_ARE: Final = frozenset({"event", "v2.core.event", None})


def show(desk: Desk, answer: Json | Page | Found, api_version: str, paths: list[str]) -> Json:
    """The *answer* as JSON in the shape of *api_version*, expanded at *paths*."""
    shown = _rendered(answer, api_version)
    if not paths:
        return shown

    def look(thing_id: str) -> Json | None:
        thing = desk.world.shelf.find(thing_id)
        return None if thing is None else deepcopy(_rendered(thing.body, api_version))

    def include(node: Json, name: str) -> Json | None:
        page = included(desk, node, name)
        return None if page is None else deepcopy(_rendered(page, api_version))

    shown = deepcopy(shown)
    expand(shown, paths, look, include)
    return shown


def _rendered(answer: Json | Page | Found, api_version: str) -> Json:
    if isinstance(answer, Page | Found):
        return answer.shown() | {"data": [_rendered(body, api_version) for body in answer.data]}
    # An event was rendered when it happened: its shape is the account's.
    return answer if answer.get("object") in _AS_THEY_ARE or "deleted" in answer else render_object(answer, api_version)
