"""Events: the last 30 days, as snapshots under /v1 and thin under /v2."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import urlencode

from simulator.happenings import Happening, Json
from simulator.refusals import Refused
from simulator.server.errors import no_such
from simulator.server.event_log import snapshot, thin, thin_id
from simulator.server.lists import PAGING, Cursor, Page, limit, page_of, within
from simulator.server.moments import SPAN_ISO
from simulator.server.parameters import NOTHING, SPAN, Hash, flag, many, text
from simulator.server.routes import Call, Route

TYPES_MAX: Final = 20

LIST: Final = Hash(
    PAGING | {"created": SPAN, "type": text, "types": many(text, TYPES_MAX), "delivery_success": flag},
)
LIST_THIN: Final = Hash(
    {"limit": limit, "created": SPAN_ISO, "object_id": text, "types": many(text, TYPES_MAX), "page": text}
)


def retrieve(call: Call) -> Json:
    """One event, while it is kept."""
    return _snapshot(call, _happening(call, _snapshot_id))


def list_events(call: Call) -> Page:
    """The events of the last 30 days, newest first."""
    params = call.params
    if "type" in params and "types" in params:
        raise Refused("You may pass only one of these parameters: type, types.", param="types")

    def keeps(happening: Happening) -> bool:
        return (
            within(params.get("created", {}), happening.created)
            and fnmatchcase(happening.type, params.get("type", "*"))
            and happening.type in params.get("types", (happening.type,))
            and params.get("delivery_success", _delivered(call, happening)) == _delivered(call, happening)
        )

    log = call.desk.events.newest_first()
    chosen, has_more = page_of("event", log, keeps, Cursor.of(params), _snapshot_id)
    return Page([_snapshot(call, happening) for happening in chosen], has_more, call.path)


def retrieve_thin(call: Call) -> Json:
    """One thin event, while it is kept."""
    return thin(_happening(call, thin_id))


def list_thin(call: Call) -> Json:
    """The thin events, newest first; a page names the place of the next one."""
    params = call.params
    types = [name.removeprefix("v1.") for name in params.get("types", [])]

    def keeps(happening: Happening) -> bool:
        return (
            within(params.get("created", {}), happening.created)
            and happening.object_id == params.get("object_id", happening.object_id)
            and (not types or happening.type in types)
        )

    cursor = Cursor(params.get("limit", 20), starting_after=params.get("page"))
    chosen, has_more = page_of("event", call.desk.events.newest_first(), keeps, cursor, thin_id)
    return {
        "data": [thin(happening) for happening in chosen],
        "next_page_url": _next_page(call, chosen[-1]) if has_more else None,
        "previous_page_url": None,
    }


def _next_page(call: Call, last: Happening) -> str:
    """The same list from after *last*: Stripe's page tokens are opaque, and ours is the id."""
    return f"{call.path}?{urlencode(_flat(call.params | {'page': thin_id(last)}))}"


def _flat(params: Json) -> list[tuple[str, object]]:
    flat: list[tuple[str, object]] = []
    for name, value in params.items():
        if isinstance(value, list):
            flat += [(f"{name}[{index}]", one) for index, one in enumerate(value)]
        elif isinstance(value, dict):
            flat += [(f"{name}[{bound}]", moment) for bound, moment in value.items()]
        else:
            flat.append((name, value))
    return flat


def _happening(call: Call, id_of: Callable[[Happening], str]) -> Happening:
    happening = call.desk.events.get(call.ids["id"])
    if happening is None or call.ids["id"] != id_of(happening):
        raise no_such("event", call.ids["id"])
    return happening


def _snapshot_id(happening: Happening) -> str:
    return happening.event_id


def _snapshot(call: Call, happening: Happening) -> Json:
    return snapshot(happening, call.desk.api_version, call.desk.undelivered)


def _delivered(call: Call, happening: Happening) -> bool:
    return not call.desk.undelivered.get(happening.event_id)


ROUTES: Final = (
    Route("GET", "/v1/events", LIST, list_events),
    Route("GET", "/v1/events/{id}", NOTHING, retrieve),
    Route("GET", "/v2/core/events", LIST_THIN, list_thin),
    Route("GET", "/v2/core/events/{id}", NOTHING, retrieve_thin),
)
