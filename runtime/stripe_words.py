"""What is said between us and Stripe: questions, deeds with their causes, and answers."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote

from runtime.stripe_budget import Urgency
from runtime.stripe_errors import Refused

NO_IDS: Final = frozenset({"", ".", ".."})
"""What a path takes for something else than a name."""

_GROUPED: Final = frozenset({"billing", "billing_portal", "checkout", "core", "radar"})

Json: TypeAlias = dict[str, Any]
Method: TypeAlias = Literal["get", "post", "delete"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What Stripe said."""

    object: Json
    answered_at: datetime
    """By Stripe's own clock."""

    request_id: str | None = None
    idempotency_key: str | None = None
    replayed: bool = False
    """Whether it was said before, under the same key: then it shows how things were, not how they are."""


Look: TypeAlias = Callable[[], Awaitable[Answer | None]]
"""Looks whether something was done already: what it made, or None."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How somebody asks: how urgent it is, and how long an answer may take, with all tries and pauses."""

    urgency: Urgency = Urgency.BACKGROUND
    within_seconds: float = 30.0


QUIETLY: Final = Asking()
"""As somebody does whom nobody waits for."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something is asked for.  One cause is one effect, however often it is asked."""

    kind: str
    id: str

    def key(self, generation: int) -> str:
        """The idempotency key: the same for the same cause, and without a word of it."""
        told = json.dumps([self.kind, self.id, generation])
        return f"billstream-{hashlib.sha256(told.encode()).hexdigest()[:40]}"


@dataclass(frozen=True, slots=True)
class Write:
    """Something that Stripe is to do."""

    path: str
    params: Mapping[str, Any]
    cause: Cause
    method: Method = "post"


@dataclass(frozen=True, slots=True)
class Request:
    """One question as it is sent, or one deed."""

    method: Method
    path: str
    params: Mapping[str, Any]
    idempotency_key: str | None = None

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.method != "get"

    @property
    def resource(self) -> str:
        """What is asked about, without its id: for metrics."""
        _, _, first, *others = self.path.split("/")
        return "/".join([first, *others[:1]]) if first in _GROUPED else first


def path(*segments: str, version: str = "v1") -> str:
    """The path of a resource.  An id in it leads nowhere else, whatever it is made of; Refused where it can be none."""
    if not NO_IDS.isdisjoint(segments):
        raise Refused("resource_missing", param="id")
    return "/" + "/".join([version, *(quote(segment, safe="") for segment in segments)])
