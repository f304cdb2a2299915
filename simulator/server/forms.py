"""Bracketed forms: `items[0][price]=x&metadata[a]=b` as a tree of strings.

An array stays a hash by its indexes here: only the parameter's type can tell the two apart.
"""

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from simulator.refusals import Refused

Raw: TypeAlias = "str | dict[str, Raw]"

PAIRS_MAX: Final = 2_000
DEPTH_MAX: Final = 10

_KEY: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_STEP: Final = re.compile(r"\[([^\[\]]*)\]")


def read_form(pairs: Iterable[tuple[str, str]]) -> dict[str, Raw]:
    """The tree that the *pairs* of a query string or a form's body describe; Refused where they describe none."""
    tree: dict[str, Raw] = {}
    for count, (key, value) in enumerate(pairs):
        if count >= PAIRS_MAX:
            raise Refused(f"A request has {PAIRS_MAX} parameters at most.")
        _place(tree, _steps(key), key, value)
    return tree


def as_array(raw: dict[str, Raw]) -> list[Raw]:
    """The elements of an array in the order of their indexes."""
    return [raw[index] for index in sorted(raw, key=int)]


def _steps(key: str) -> list[str]:
    matched = _KEY.fullmatch(key)
    if not matched:
        raise Refused(f"Invalid parameter name: {key}", param=key)
    steps = [matched[1], *_STEP.findall(matched[2])]
    if len(steps) > DEPTH_MAX:
        raise Refused(f"Parameters are nested {DEPTH_MAX} deep at most.", param=matched[1])
    return steps


def _place(node: dict[str, Raw], steps: list[str], key: str, value: str) -> None:
    for depth, step in enumerate(steps[:-1]):
        child = node.setdefault(_index(node, steps[depth:]), {})
        if isinstance(child, str):
            raise Refused(f"Invalid hash: {step} is given as a value and as a hash.", param=key)
        node = child
    leaf = _index(node, steps[-1:])
    if isinstance(node.get(leaf), dict):
        raise Refused(f"Invalid hash: {leaf} is given as a value and as a hash.", param=key)
    node[leaf] = value


def _index(node: dict[str, Raw], rest: list[str]) -> str:
    """The name of the next step; `[]` begins a new element when it must: with a value, or a key said before."""
    if rest[0]:
        return rest[0]
    last = node.get(str(len(node) - 1))
    goes_on = len(rest) > 1 and isinstance(last, dict) and rest[1] not in last
    return str(len(node) - 1 if goes_on else len(node))
