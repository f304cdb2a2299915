import json

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import oracle, shapes
from simulator.happenings import Json
from simulator.story import tell
from simulator.things import HIDDEN

SEEDS = st.integers(min_value=0, max_value=2**63)
WORLD = tell(17, 40)


@pytest.mark.parametrize("api_version", shapes.API_VERSIONS)
def test_stripes_own_library_reads_every_event_in_every_shape(api_version: str) -> None:
    for happening in WORLD.happenings:
        body = shapes.wire(shapes.render(happening, api_version))

        event = stripe.Event.construct_from(json.loads(body), key=None)

        assert event.id == happening.event_id
        assert event.data.object.to_dict().get("id", happening.object_id) == happening.object_id


@pytest.mark.parametrize("api_version", [shapes.BEFORE_BASIL, shapes.NEWEST])
def test_every_shape_means_the_same(api_version: str) -> None:
    for happening in WORLD.happenings:
        if not happening.type.startswith(oracle.SUBSCRIPTION_EVENT):
            continue
        assert oracle.snapshot_of(shapes.render(happening, api_version)) == oracle.snapshot_of(
            shapes.render(happening, shapes.BASIL)
        )


def test_the_period_is_on_the_subscription_before_basil_and_on_its_items_since() -> None:
    happening = next(one for one in WORLD.happenings if one.type == "customer.subscription.created")
    old = shapes.render_object(happening.after, shapes.BEFORE_BASIL)
    new = shapes.render_object(happening.after, shapes.BASIL)

    assert "current_period_end" in old
    assert "current_period_end" not in old["items"]["data"][0]
    assert "current_period_end" not in new
    assert new["items"]["data"][0]["current_period_end"] == old["current_period_end"]


def test_an_invoice_names_its_subscription_on_top_before_basil_and_under_its_parent_since() -> None:
    happening = next(one for one in WORLD.happenings if one.type == "invoice.paid" and one.after["total"])
    old = shapes.render_object(happening.after, shapes.BEFORE_BASIL)
    new = shapes.render_object(happening.after, shapes.BASIL)

    assert old["subscription"] == new["parent"]["subscription_details"]["subscription"]
    assert old["payment_intent"]
    assert "payment_intent" not in new
    assert "parent" not in old


@pytest.mark.parametrize("api_version", shapes.API_VERSIONS)
def test_no_endpoint_sees_what_is_hidden(api_version: str) -> None:
    for happening in WORLD.happenings:
        assert HIDDEN not in shapes.wire(shapes.render(happening, api_version)).decode()


@settings(max_examples=12, deadline=None)
@given(SEEDS, st.sampled_from(shapes.API_VERSIONS))
def test_previous_attributes_put_back_give_the_object_before(seed: int, api_version: str) -> None:
    for happening in tell(seed, 20).happenings:
        if happening.before is None:
            continue
        event = shapes.render(happening, api_version)

        put_back = oracle.put_back(event["data"]["object"], event["data"]["previous_attributes"])

        assert without_nulls(put_back) == without_nulls(shapes.render_object(happening.before, api_version))


def without_nulls(value: Json) -> Json:
    """Stripe says null for a key that was not there before: in a hash the two are the same."""
    return {
        key: without_nulls(inner) if isinstance(inner, dict) else inner
        for key, inner in value.items()
        if inner is not None
    }


def test_previous_attributes_hold_only_what_changed() -> None:
    before = {"a": 1, "hash": {"same": 1, "old": 2}, "list": [1, {"b": 2}], "gone": None}
    after = {"a": 1, "hash": {"same": 1, "old": 3, "new": 4}, "list": [1, {"b": 3}], "gone": {"c": 5}}

    assert shapes.previous_attributes(before, after) == {
        "hash": {"old": 2, "new": None},
        "list": [1, {"b": 2}],
        "gone": None,
    }


def test_a_plan_change_tells_the_legacy_plan_only_before_basil() -> None:
    happening = next(
        one
        for one in WORLD.happenings
        if one.type == "customer.subscription.updated"
        and len(one.after["items"]["data"]) == 1
        and one.after["items"]["data"][0]["price"] != (one.before or {})["items"]["data"][0]["price"]
    )

    old = shapes.render(happening, shapes.BEFORE_BASIL)["data"]["previous_attributes"]
    new = shapes.render(happening, shapes.BASIL)["data"]["previous_attributes"]

    assert {"items", "plan"} <= old.keys()
    assert "items" in new
    assert "plan" not in new
