"""Stripe's published OpenAPI description, as far as one must read it to judge an answer.

It knows the few keywords of JSON Schema that Stripe uses; a keyword that it does not know is an error, not a pass.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

JUDGED = {"$ref", "anyOf", "oneOf", "type", "enum", "nullable", "required", "properties", "items"}
JUDGED |= {"additionalProperties", "maxLength", "pattern"}
TOLD = {"description", "title", "format", "deprecated", "default", "example", "discriminator"}

TYPES: dict[str, type | tuple[type, ...]] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "object": dict,
    "string": str,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Where an answer is not as it should be, and why."""

    where: str
    what: str
    place: str = ""  # The property by the name of its schema, where it is one that nobody described.

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Spec:
    """The description in one file."""

    def __init__(self, path: Path) -> None:
        told = json.loads(path.read_bytes())
        self.paths: dict[str, dict[str, Any]] = told["paths"]
        self._schemas: dict[str, Schema] = told["components"]["schemas"]
        self._things = {schema["x-resourceId"]: schema for schema in self._schemas.values() if "x-resourceId" in schema}
        ordered = sorted(self.paths, key=lambda template: template.count("{"))
        self._patterns = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", template)), template) for template in ordered]

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """What is described at the place that *path* (or a template of it) leads to."""
        for pattern, template in self._patterns:
            if pattern.fullmatch(path) and method.lower() in self.paths[template]:
                found: dict[str, Any] = self.paths[template][method.lower()]
                return found
        return None

    def parameters(self, operation: dict[str, Any]) -> Schema:
        """What a request may say, as one object."""
        properties = {
            one["name"]: one["schema"] | {"required_here": one.get("required", False)}
            for one in operation.get("parameters", ())
            if one["in"] == "query"
        }
        for content in operation.get("requestBody", {}).get("content", {}).values():
            properties |= content["schema"].get("properties", {})
        return {"type": "object", "properties": properties}

    def findings(self, operation: dict[str, Any], status: int, body: Any) -> list[Finding]:
        """What is not as described in an answer."""
        answers = operation["responses"]
        told = answers.get(str(status), answers["default"])
        return list(self._judge(told["content"]["application/json"]["schema"], body, ""))

    def findings_of_thing(self, body: Any) -> list[Finding]:
        """What is not as described in a thing that is shown outside an answer: in an event, say."""
        kind = body["object"]
        return list(self._judge(self._things[kind], body, kind, kind))

    def _judge(self, schema: Schema, value: Any, where: str, name: str = "") -> Iterator[Finding]:
        while "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            schema = self._schemas[name]
        unknown = {word for word in schema if word not in JUDGED | TOLD and not word.startswith("x-")}
        assert not unknown, f"the judge does not know {unknown}"
        if value is None and schema.get("nullable"):
            return
        if alternatives := schema.get("anyOf") or schema.get("oneOf"):
            verdicts = [list(self._judge(one, value, where)) for one in alternatives]
            yield from min(verdicts, key=lambda found: (where in {one.where for one in found}, len(found)))
            return
        yield from _judge_scalar(schema, value, where)
        if isinstance(value, dict):
            yield from self._judge_object(schema, value, where, name)
        elif isinstance(value, list):
            for place, one in enumerate(value):
                yield from self._judge(schema.get("items", {}), one, f"{where}[{place}]")

    def _judge_object(self, schema: Schema, value: dict[str, Any], where: str, kind: str) -> Iterator[Finding]:
        properties = schema.get("properties")
        others = schema.get("additionalProperties", properties is None)
        for name in schema.get("required", ()):
            if name not in value:
                yield Finding(f"{where}.{name}", "is missing")
        for name, one in value.items():
            if properties and name in properties:
                yield from self._judge(properties[name], one, f"{where}.{name}")
            elif isinstance(others, dict):
                yield from self._judge(others, one, f"{where}.{name}")
            elif not others:
                yield Finding(f"{where}.{name}", f"is not described ({kind}.{name})", f"{kind}.{name}")


def _judge_scalar(schema: Schema, value: Any, where: str) -> Iterator[Finding]:
    kind = schema.get("type")
    right = kind is None or isinstance(value, TYPES[kind])
    if not right or (kind in {"integer", "number"} and isinstance(value, bool)):
        yield Finding(where, f"{value!r} is no {kind}")
    elif "enum" in schema and value not in schema["enum"] and not schema.get("x-stripeBypassValidation"):
        yield Finding(where, f"{value!r} is none of {schema['enum']}")
    elif isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        yield Finding(where, f"has {len(value)} characters")
    elif isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        yield Finding(where, f"{value!r} is not like {schema['pattern']}")
