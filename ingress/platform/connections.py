"""Connections with the limits of all our doors; what is not HTTP is answered with a problem, too."""

from http import HTTPStatus
from secrets import token_hex

from aiohttp import web

from ingress.connections import Connection, Server
from ingress.platform import problems
from ingress.platform.problems import Problem, Word
from runtime.logs import get_logger

log = get_logger(__name__)


class PlatformServer(Server):
    """Makes a `PlatformConnection` for each caller."""

    def __call__(self) -> web.RequestHandler:
        """A protocol for a new connection."""
        return PlatformConnection(self)


class PlatformConnection(Connection):
    """One caller's connection."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The problem that is no request at all, or a bug of ours below all that catches them."""
        del request, message
        broken = status < HTTPStatus.INTERNAL_SERVER_ERROR
        log.info("not http" if broken else "bug", error=type(exc).__name__)
        problem = (
            Problem(Word.NOT_HTTP, "It cannot be read.") if broken else Problem(Word.OUR_MISTAKE, problems.SEND_AGAIN)
        )
        refusal = web.Response(
            status=problem.status,
            body=problem.shown(f"req_{token_hex(12)}").model_dump_json().encode(),
            content_type=problems.CONTENT_TYPE,
            headers={"Server": "billstream"},
        )
        refusal.force_close()
        return refusal
