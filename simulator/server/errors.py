"""How Stripe says no: one JSON shape for all of it."""

from typing import Any, Final

from simulator.happenings import Json
from simulator.refusals import Refused
from simulator.shapes import render_object

_DOCUMENTED: Final = "https://docs.stripe.com/error-codes/"
_DASHBOARD: Final = "https://dashboard.stripe.com/test/logs/"


def error_of(refused: Refused, request_id: str, api_version: str) -> Json:
    """The body of the answer that says why."""
    told: dict[str, Any] = {
        "code": refused.code,
        "doc_url": f"{_DOCUMENTED}{refused.code.replace('_', '-')}" if refused.code else None,
        "message": refused.message,
        "param": refused.param,
        "request_log_url": f"{_DASHBOARD}{request_id}",
        "type": refused.type,
        **{name: _shown(value, api_version) for name, value in refused.more.items()},
    }
    return {"error": {name: value for name, value in told.items() if value is not None}}


def _shown(value: Any, api_version: str) -> Any:
    """A thing that the error tells of is shown as any other."""
    return render_object(value, api_version) if isinstance(value, dict) and "object" in value else value


def nowhere(method: str, path: str) -> Refused:
    """There is no such place."""
    return Refused(
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at "
        "https://support.stripe.com/.",
        status=404,
    )


def no_such(noun: str, thing_id: str, param: str = "id", status: int = 404) -> Refused:
    """There is no such thing."""
    return Refused(f"No such {noun}: '{thing_id}'", code="resource_missing", param=param, status=status)


def too_fast() -> Refused:
    """More requests than the limit allows."""
    return Refused(
        "Request rate limit exceeded. You can learn more about rate limits here https://stripe.com/docs/rate-limits.",
        code="rate_limit",
        status=429,
    )


def our_fault(message: str = "An unknown error occurred") -> Refused:
    """Something broke, and it was not the caller."""
    return Refused(message, type="api_error", status=500)
