"""Search as Stripe's query language has it, as far as ids and metadata go: `email:"a" AND metadata["plan"]:"mid"`."""

import re
from collections.abc import Callable
from typing import Final

from simulator.happenings import Json
from simulator.refusals import Refused
from simulator.server.lists import Cursor, Found, limit, page_of
from simulator.server.parameters import Hash, text
from simulator.server.routes import NOUNS, Call, Route
from simulator.server.standing import is_deleted

_CLAUSE: Final = re.compile(
    r"""\s*(?P<minus>-?)(?P<name>[a-z_]+)(?:\[(?P<quote>["'])(?P<key>[^"']+)(?P=quote)\])?"""
    r"""\s*(?P<sign>:|~|>=|<=|>|<)\s*(?:(?P<bound>["'])(?P<said>.*?)(?P=bound)|(?P<bare>[\w.]+))\s*""",
)
_JOIN: Final = re.compile(r"(AND|OR)\b", re.IGNORECASE)

SEARCH: Final = Hash({"query": text, "limit": limit, "page": text}, needs=("query",))

Fits = Callable[[Json], bool]
"""Whether a body is one that was searched for."""


def searching(path: str, kind: str, names: tuple[str, ...]) -> Route:
    """GET the things of one kind that a query over *names* (and metadata) finds, newest first."""

    def answer(call: Call) -> Found:
        fits = read_query(call.params["query"], names)
        bodies: list[Json] = [thing.body for thing in call.world.shelf.all(kind) if not is_deleted(thing)]
        cursor = Cursor(call.params.get("limit", 10), starting_after=call.params.get("page"))
        data, has_more = page_of(NOUNS.get(kind, kind), bodies, fits, cursor, lambda body: str(body["id"]))
        return Found(data, str(data[-1]["id"]) if has_more else None, path)

    return Route("GET", path, SEARCH, answer)


def read_query(query: str, names: tuple[str, ...]) -> Fits:
    """What fits the *query*; Refused where Stripe would not understand it, or we do not."""
    clauses: list[Fits] = []
    joins: set[str] = set()
    place = 0
    while True:
        matched = _CLAUSE.match(query, place)
        if not matched:
            raise _unreadable(query)
        clauses.append(_clause(matched, names))
        place = matched.end()
        if place == len(query):
            break
        joined = _JOIN.match(query, place)
        if not joined:
            raise _unreadable(query)
        joins.add(joined[1].upper())
        place = joined.end()
    if len(joins) > 1:
        raise Refused("You can't combine AND and OR in one query.", param="query")
    chosen = any if "OR" in joins else all
    return lambda body: chosen(clause(body) for clause in clauses)


def _clause(matched: re.Match[str], names: tuple[str, ...]) -> Fits:
    name, key, sign = matched["name"], matched["key"], matched["sign"]
    said = matched["said"] if matched["said"] is not None else matched["bare"]
    if (name == "metadata") != (key is not None) or (key is None and name not in names):
        raise Refused(f"Field `{name}` is an unsupported search field for this resource.", param="query")
    compares = _SIGNS[sign]

    def fits(body: Json) -> bool:
        value = body["metadata"].get(key) if key is not None else body.get(name)
        if said == "null":
            return (value is None) != bool(matched["minus"])
        return (value is not None and compares(value, said)) != bool(matched["minus"])

    return fits


def _number(said: str) -> float:
    try:
        return float(said)
    except ValueError as error:
        raise Refused(f"{said} is not a number.", param="query") from error


def _as_said(value: object) -> str:
    return str(value).lower()


_SIGNS: Final[dict[str, Callable[[object, str], bool]]] = {
    ":": lambda value, said: _as_said(value) == said.lower(),
    "~": lambda value, said: said.lower() in _as_said(value),
    ">": lambda value, said: _number(str(value)) > _number(said),
    "<": lambda value, said: _number(str(value)) < _number(said),
    ">=": lambda value, said: _number(str(value)) >= _number(said),
    "<=": lambda value, said: _number(str(value)) <= _number(said),
}


def _unreadable(query: str) -> Refused:
    return Refused(f"We were unable to parse your search query: {query}", param="query")
