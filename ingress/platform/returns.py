"""Where people may be sent back to: the origins that settings list, and nowhere else."""

from urllib.parse import urlsplit

from ingress.platform.calls import Call
from ingress.platform.problems import Problem, Word

DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def require_allowed(call: Call, **urls: str) -> None:
    """Raise the problem of the first address whose origin is not allowed, by its field's name."""
    allowed = call.tools.return_origins
    for field, url in urls.items():
        if origin_of(url) not in allowed:
            raise Problem.with_field(Word.URL_NOT_ALLOWED, field, f"must begin with one of {', '.join(allowed)}")


def origin_of(url: str) -> str | None:
    """The origin as settings write it; None when there is none to be sure of."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    netloc = parts.netloc.lower()
    return f"{parts.scheme}://{netloc.removesuffix(DEFAULT_PORTS.get(parts.scheme, ''))}"
