"""docker-compose.yml as tests read it, and what compose would make of it."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[1]
TEXT: Final = (ROOT / "docker-compose.yml").read_text()
COMPOSE: Final[dict[str, Any]] = yaml.safe_load(TEXT)
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]

ONE_SHOTS: Final = {name for name, service in SERVICES.items() if service["restart"] == "no"}
STAYING: Final = set(SERVICES) - ONE_SHOTS
OURS: Final = {name for name, service in SERVICES.items() if "build" in service}


def with_defaults(text: str) -> str:
    """What compose makes of `${NAME:-default}` when nothing is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def environment_of(name: str) -> dict[str, str]:
    """The variables that compose gives a service when nothing is set: one without a value is not given then."""
    given = SERVICES[name].get("environment", {}).items()
    return {variable: with_defaults(value) for variable, value in given if value is not None}


def make_secrets(folder: Path) -> Path:
    """What deploy/make-secrets.sh makes, in *folder*."""
    subprocess.run(["sh", ROOT / "deploy/make-secrets.sh", folder], check=True, capture_output=True)
    return folder
