"""Webhook endpoints: several, each with its own API version, secrets and choice of events."""

import re
from typing import Any, Final

from simulator.happenings import Json
from simulator.refusals import Refused
from simulator.server.forms import Raw
from simulator.server.parameters import NOTHING, Hash, flag, many, metadata, text, unsettable
from simulator.server.routes import Call, Route, acting, listing, retrieving
from simulator.server.versions import shape_version
from simulator.server.webhook_endpoints import WebhookEndpoint

KIND: Final = "webhook_endpoint"
PLACE: Final = "/v1/webhook_endpoints"
EVENTS_MAX: Final = 500
ENDPOINTS_MAX: Final = 16  # As at Stripe.

_EVENT: Final = re.compile(r"\*|[a-z_]+(\.[a-z_]+)+")


def _event_name(param: str, raw: Raw) -> str:
    name = text(param, raw)
    if not _EVENT.fullmatch(name):
        raise Refused(f"Invalid {param}: {name} is no type of event", param=param)
    return name


def _url(param: str, raw: Raw) -> str:
    url = text(param, raw)
    if not url.startswith(("http://", "https://")):
        raise Refused(
            "Invalid URL: An explicit scheme (such as https) must be provided.", code="url_invalid", param=param
        )
    return url


def _version(param: str, raw: Raw) -> str:
    version = text(param, raw)
    shape_version(version)
    return version


CHANGE: Final[dict[str, Any]] = {
    "url": _url,
    "enabled_events": many(_event_name, EVENTS_MAX),
    "description": unsettable(text),
    "metadata": unsettable(metadata),
}
CREATE: Final = Hash(CHANGE | {"api_version": _version}, needs=("url", "enabled_events"))
UPDATE: Final = Hash(CHANGE | {"disabled": flag})


def create(call: Call) -> Json:
    """A new endpoint; its secret is shown this once."""
    if len(list(call.world.shelf.all(KIND))) >= ENDPOINTS_MAX:
        raise Refused(f"You have reached the maximum of {ENDPOINTS_MAX} test webhook endpoints.")
    endpoint = WebhookEndpoint(call.world, call.desk.dice, call.params)
    return endpoint.body | {"secret": endpoint.secrets[0]}


def delete(call: Call) -> Json:
    """Nothing is sent there any more."""
    endpoint = call.thing(KIND)
    call.world.shelf.remove(endpoint)
    return {"id": endpoint.body["id"], "object": KIND, "deleted": True}


ROUTES: Final = (
    Route("POST", PLACE, CREATE, create),
    listing(PLACE, KIND, {}),
    retrieving(f"{PLACE}/{{id}}", KIND),
    acting(f"{PLACE}/{{id}}", KIND, UPDATE, lambda endpoint, changes: endpoint.update(**changes)),
    Route("DELETE", f"{PLACE}/{{id}}", NOTHING, delete),
)
