"""What we say keeps its shape: readers were built on it.

The golden schemas hold what was promised.  A change that only adds fields with defaults is written into them by

    REGENERATE=1 pytest tests/models/test_events.py

and any other change fails even then: it is a new type, with a new version in its name.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from models.events import EVENTS, AlertRaised, Event, FactParked, Rule, SubscriptionChanged
from models.subscriptions import State
from tests.models.support_facts import moment

GOLDEN = Path(__file__).parent / "golden"

Json = dict[str, Any]

every_event = pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)


def golden_of(event: type[Event]) -> Path:
    return GOLDEN / f"{type_of(event)}.json"


def type_of(event: type[Event]) -> str:
    return str(event.model_fields["type"].default)


def breaks(old: Json, new: Json) -> list[str]:
    """What a reader of *old* would miss or stumble over in *new*."""
    found = [f"{name} is gone" for name in old["properties"] if name not in new["properties"]]
    found += [
        f"{name} is not what it was"
        for name, was in old["properties"].items()
        if new["properties"].get(name, was) != was
    ]
    found += [f"{name} is optional now" for name in old.get("required", []) if name not in new.get("required", [])]
    found += [
        f"{name} is new and has no default" for name in new.get("required", []) if name not in old.get("required", [])
    ]
    for name, was in old.get("$defs", {}).items():
        missing = set(was.get("enum", [])) - set(new.get("$defs", {}).get(name, {}).get("enum", []))
        found += [f"{name} cannot be {value} any more" for value in sorted(missing)]
    return found


@every_event
def test_an_event_keeps_the_shape_that_was_promised(event: type[Event]) -> None:
    now = event.model_json_schema()
    golden = golden_of(event)
    if os.environ.get("REGENERATE"):
        assert not golden.exists() or not breaks(json.loads(golden.read_text()), now)
        golden.write_text(json.dumps(now, indent=2) + "\n")

    promised = json.loads(golden.read_text())
    assert not breaks(promised, now), "a new type with a new version is needed"
    assert promised == now, "only additions: write them down with REGENERATE=1 (see the top of this file)"


def test_no_type_was_dropped() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == {type_of(event) for event in EVENTS}


@every_event
def test_a_type_is_ours_and_carries_its_version(event: type[Event]) -> None:
    parts = type_of(event).split(".")

    assert parts[0] == "billing"
    assert parts[-1][0] == "v"
    assert parts[-1][1:].isdigit()


def test_a_subscriptions_event_shows_all_that_we_know_of_it() -> None:
    for field in structs.fields(State):
        assert SubscriptionChanged.model_fields[field.name].is_required() == field.required


def test_a_break_is_seen() -> None:
    old = SubscriptionChanged.model_json_schema()
    without = old | {"properties": {name: value for name, value in old["properties"].items() if name != "plan"}}
    other = old | {"properties": old["properties"] | {"quantity": {"type": "string"}}}
    needed = old | {"required": [*old["required"], "colour"], "properties": old["properties"] | {"colour": {}}}
    added = old | {"properties": old["properties"] | {"colour": {"default": None}}}

    assert breaks(old, without) == ["plan is gone"]
    assert breaks(old, other) == ["quantity is not what it was"]
    assert breaks(old, needed) == ["colour is new and has no default"]
    assert breaks(old, added) == []
    fewer = AlertRaised.model_json_schema()
    fewer["$defs"]["Rule"]["enum"] = fewer["$defs"]["Rule"]["enum"][1:]
    assert breaks(AlertRaised.model_json_schema(), fewer) == ["Rule cannot be price_not_in_catalog any more"]


def test_news_of_one_account_keep_their_order_and_alerts_of_one_rule_theirs() -> None:
    about = {"subject": "x", "as_of": moment(0)}
    alert = AlertRaised(**about, account_id="ac_1", rule=Rule.CONFLICTING_COPY, detail="")
    facts = {"source": "stripe", "fact_id": "evt_1", "fact_type": "t", "lane": "l", "reason": "r"}

    assert alert.key == "conflicting_copy"
    assert FactParked(**about, **facts, account_id="ac_1").key == "ac_1"
    assert FactParked(**about, **facts, account_id=None).key == "x"
