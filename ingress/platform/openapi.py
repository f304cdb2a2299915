"""The door's description, in OpenAPI 3.1: made of the table of routes and of the shapes, and of nothing else."""

import json
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ingress.platform import problems
from ingress.platform.problems import SAYS, ProblemShown, Word
from ingress.platform.routes import ID_PATTERN, ROUTES, Route

VERSION: Final = "1"
IDEMPOTENCY_KEY_PATTERN: Final = r"^[\x21-\x7e]{1,255}$"
JSON: Final = "application/json"

Json = dict[str, Any]

_CORRELATION: Final[Json] = {
    "Correlation-Id": {
        "description": "Names the request in our logs.",
        "required": True,
        "schema": {"type": "string"},
    }
}
_IDEMPOTENCY_KEY: Final[Json] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Names what is to be done: however often it is sent within two days, it is done once. Give each"
    " request one of its own, such as a UUID, and send it again with the same one after a 5xx or no answer.",
    "schema": {"type": "string", "pattern": IDEMPOTENCY_KEY_PATTERN},
}


@cache
def document() -> Json:
    """The whole description."""
    references, schemas = _schemas()
    paths: Json = {}
    for route in ROUTES:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Billstream, for the platform's services",
            "version": VERSION,
            "description": "Checkout, Portal, subscriptions and refunds. Amounts are whole minor units of a currency."
            " No card number is ever taken here.",
        },
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key of `billing api-keys create`."}
            },
        },
    }


@cache
def as_bytes() -> bytes:
    """The description as it is served, and as it is committed in docs/openapi.json."""
    return json.dumps(document(), indent=2).encode() + b"\n"


def _schemas() -> tuple[dict[type[BaseModel], Json], Json]:
    asked = [(route.body, "validation") for route in ROUTES if route.body is not None]
    shown = [(model, "serialization") for model in (*(route.shown for route in ROUTES), ProblemShown)]
    by_mode, definitions = models_json_schema(
        [*asked, *shown],  # type: ignore[list-item]  # The modes are literals, which a list forgets.
        ref_template="#/components/schemas/{model}",
    )
    return {model: schema for (model, _), schema in by_mode.items() if issubclass(model, BaseModel)}, definitions[
        "$defs"
    ]


def _operation(route: Route, references: dict[type[BaseModel], Json]) -> Json:
    path_parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": ID_PATTERN}}
        for name in route.parameters
    ]
    operation: Json = {
        "operationId": route.name,
        "summary": route.promise,
        "description": f"The key needs the scope `{route.scope}`.",
        "parameters": [*path_parameters, *([_IDEMPOTENCY_KEY] if route.writes else [])],
        "responses": {
            str(int(route.status)): {
                "description": route.status.phrase,
                "headers": _CORRELATION,
                "content": {JSON: {"schema": references[route.shown]}},
            },
            **_refusals(route.all_problems, references[ProblemShown]),
        },
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": references[route.body]}}}
    return operation


def _refusals(words: Iterable[Word], schema: Json) -> Json:
    """The problems by status: several may share one."""
    by_status: dict[int, list[str]] = {}
    for word in words:
        status, title = SAYS[word]
        by_status.setdefault(int(status), []).append(f"`{word}`: {title}")
    return {
        str(status): {
            "description": " ".join(dict.fromkeys(said)),
            "headers": _CORRELATION,
            "content": {problems.CONTENT_TYPE: {"schema": schema}},
        }
        for status, said in sorted(by_status.items())
    }
