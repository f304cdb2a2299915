"""How the places under /_pretend read and refuse: plain JSON, in no shape of Stripe's."""

import json
from typing import Any

from aiohttp import web


async def asked_of(request: web.Request) -> dict[str, Any]:
    """The JSON object that a request says; nothing said is an empty one."""
    if not request.can_read_body:
        return {}
    try:
        asked = await request.json()
    except json.JSONDecodeError as error:
        raise bad("The body is not JSON.") from error
    if not isinstance(asked, dict):
        raise bad("The body is not a JSON object.")
    return asked


def bad(message: str) -> web.HTTPBadRequest:
    """No, and why."""
    return web.HTTPBadRequest(text=json.dumps({"error": message}), content_type="application/json")
