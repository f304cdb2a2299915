"""Scenario files: found, read, and refused with what would be right."""

from pathlib import Path
from typing import Final

import yaml
from pydantic import ValidationError

from simulator.scenarios.steps import Scenario

SHIPPED: Final = Path(__file__).parent / "shipped"
SUFFIX: Final = ".yaml"
TOLD_MAX: Final = 3


class BadScenario(Exception):
    """A scenario that cannot be played, and why."""


def shipped() -> dict[str, Path]:
    """The scenarios that come with us, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob(f"*{SUFFIX}"))}


def find(named: str) -> Path:
    """The file of a scenario: a path, or the name of a shipped one."""
    known = shipped()
    if named in known:
        return known[named]
    path = Path(named)
    if not path.is_file():
        raise BadScenario(f"There is no scenario {named}: give a file, or one of {', '.join(known)}.")
    return path


def read(path: Path) -> Scenario:
    """The scenario in a file.  Raises BadScenario, with the file, the place in it, and what would be right."""
    try:
        return Scenario.model_validate(yaml.safe_load(path.read_bytes()))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise BadScenario(f"{path}{line}: this is no YAML.") from None
    except (ValidationError, UnicodeDecodeError) as error:
        raise BadScenario(f"{path}: {_in_words(error)}") from None


def _in_words(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "it is not UTF-8."
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{'.'.join(map(str, one['loc'])) or 'scenario'}: {one['msg']}" for one in found[:TOLD_MAX]]
    more = f"; and {len(found) - TOLD_MAX} more" if len(found) > TOLD_MAX else ""
    return "; ".join(told) + more
