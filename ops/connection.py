"""Where `billing`'s commands find Kafka and PostgreSQL: in the environment, else in the local stack that runs.

What is given always wins, so that the same command looks at production from a shell that has production's addresses.
"""

from pathlib import Path
from typing import Final, TypeVar

from pydantic import ValidationError

from ops import console
from ops.local import surroundings
from ops.local.errors import CannotStart
from ops.local.folders import DEFAULT_HOME
from ops.local.state import settings_of
from runtime.settings import DatabaseSettings, ProcessSettings, load

SettingsT = TypeVar("SettingsT", bound=ProcessSettings)
OWNER_URL: Final = "database_owner_url"  # No process has it as a setting: only migrations want it.


def settings(cls: type[SettingsT], home: Path = DEFAULT_HOME) -> SettingsT:
    """*cls* from the environment, completed from the running local stack.

    Without either it ends as every process does: exit status 2 and a line for each setting that is missing.
    """
    known = settings_of(home)
    missing = {name: known[name] for name in cls.model_fields if name in known and not _is_given(name)}
    try:
        return cls(**missing)
    except ValidationError as wrong:
        if not known and any(error["type"] == "missing" for error in wrong.errors()):
            console.problem("No local stack runs: start one with `make up`, or give what is missing.")
        return load(cls, **missing)  # What is still wrong, said as every process says it.


def owner_url(home: Path = DEFAULT_HOME) -> str:
    """The URL that migrations run with: DATABASE_OWNER_URL, else DATABASE_URL, else the running local stack's."""
    given = surroundings.given(OWNER_URL.upper())
    if given is None and _is_given("database_url"):
        return load(DatabaseSettings).database_url.get_secret_value()
    return given or _of_stack(OWNER_URL, home)


def webhook(home: Path = DEFAULT_HOME) -> tuple[str, str]:
    """The URL and the secret that a pretend Stripe needs, of the running local stack."""
    url, secret_file = _of_stack("webhook_url", home), _of_stack("webhook_secret_file", home)
    return url, Path(secret_file).read_text(encoding="utf-8").strip()


def _of_stack(name: str, home: Path) -> str:
    known = settings_of(home)
    if name not in known:
        raise CannotStart("No local stack runs (start one with `make up`), and no address was given.")
    return str(known[name])


def _is_given(name: str) -> bool:
    variable = name.upper()
    return surroundings.given(variable) is not None or surroundings.given(f"{variable}_FILE") is not None
