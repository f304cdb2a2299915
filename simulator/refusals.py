"""How Stripe says no: a verb that cannot be done refuses, and nothing has happened."""

from typing import Any

from simulator.happenings import Json


class Refused(Exception):
    """Nothing was done, and this is why: in the words of Stripe's error bodies."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        type: str = "invalid_request_error",  # noqa: A002  Stripe's own word.
        status: int = 400,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.type = type
        self.status = status
        self.more: Json = more


def missing(noun: str, thing_id: str, param: str) -> Refused:
    """A request names a thing that does not exist."""
    return Refused(f"No such {noun}: '{thing_id}'", code="resource_missing", param=param)


def invalid(message: str, param: str | None = None, code: str | None = None) -> Refused:
    """A request asks for what cannot be."""
    return Refused(message, code=code, param=param)
