import itertools
import re
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import shapes
from simulator.clock import DAY_SECONDS, epoch, months_after
from simulator.happenings import Happening, Json
from simulator.story import LIVES, tell
from simulator.world import World

SEEDS = st.integers(min_value=0, max_value=2**63)


def told(world: World) -> list[bytes]:
    return [shapes.wire(shapes.render(happening, shapes.BASIL)) for happening in world.happenings]


def updates_in_one_second_max(world: World) -> dict[str, int]:
    updates = Counter(
        (happening.object_id, happening.created)
        for happening in world.happenings
        if happening.type == "customer.subscription.updated"
    )
    most: dict[str, int] = {}
    for (subscription_id, _), count in updates.items():
        most[subscription_id] = max(most.get(subscription_id, 0), count)
    return most


def test_one_seed_is_one_world_to_the_last_byte() -> None:
    assert told(tell(11, 30)) == told(tell(11, 30))


def test_another_seed_is_another_world() -> None:
    assert told(tell(11, 30)) != told(tell(12, 30))


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.sampled_from([0.3, 0.5, 0.8]))
def test_at_least_the_asked_share_of_lives_holds_three_updates_in_one_second(seed: int, share: float) -> None:
    world = tell(seed, 40, tie_share=share, months=2)

    tied = {
        world.subscriptions[subscription_id].customer.id
        for subscription_id, most in updates_in_one_second_max(world).items()
        if most >= 3
    }

    assert len(tied) >= share * 40


def test_happenings_come_in_the_order_of_time_but_their_ids_tell_nothing_of_it() -> None:
    happenings = tell(3, 40).happenings
    ids = [happening.event_id for happening in happenings]

    assert [happening.created for happening in happenings] == sorted(happening.created for happening in happenings)
    assert len(set(ids)) == len(ids)
    assert 0.4 < sum(a < b for a, b in itertools.pairwise(ids)) / len(ids) < 0.6


KINDS = """
    charge.captured charge.dispute.closed charge.dispute.created charge.dispute.funds_reinstated
    charge.dispute.funds_withdrawn charge.dispute.updated charge.failed charge.pending charge.refund.updated
    charge.refunded charge.succeeded checkout.session.async_payment_failed checkout.session.async_payment_succeeded
    checkout.session.completed checkout.session.expired credit_note.created customer.created customer.deleted
    customer.discount.created customer.subscription.created customer.subscription.deleted customer.subscription.paused
    customer.subscription.pending_update_applied customer.subscription.pending_update_expired
    customer.subscription.resumed customer.subscription.trial_will_end customer.subscription.updated customer.updated
    invoice.created invoice.finalized invoice.marked_uncollectible invoice.paid invoice.payment_action_required
    invoice.payment_failed invoice.payment_succeeded invoice.sent invoice.upcoming invoice.updated invoice.voided
    invoice_payment.paid invoiceitem.created payment_intent.amount_capturable_updated payment_intent.canceled
    payment_intent.created payment_intent.payment_failed payment_intent.processing payment_intent.requires_action
    payment_intent.succeeded payment_method.attached payment_method.automatically_updated payment_method.detached
    price.created product.created radar.early_fraud_warning.created refund.created refund.failed refund.updated
    subscription_schedule.created subscription_schedule.released subscription_schedule.updated
""".split()


def test_a_story_of_a_few_hundred_has_every_kind_of_event_and_every_end() -> None:
    world = tell(4, len(LIVES) * 7, months=5)
    lived = {body["status"] for subscription in world.subscriptions.values() for body in subscription.truth}

    assert {happening.type for happening in world.happenings} >= set(KINDS)
    assert lived == {
        *("active", "canceled", "incomplete", "incomplete_expired", "past_due", "paused", "trialing", "unpaid"),
    }


def test_events_are_as_large_as_the_real_ones() -> None:
    sizes = sorted(len(body) for body in told(tell(5, 60)))

    assert 4_500 < sizes[len(sizes) // 2] < 9_500
    assert sizes[-1] < 30_000


def test_events_carry_what_must_not_leak_so_that_a_leak_can_be_found() -> None:
    world = tell(5, 20)
    everything = b"".join(told(world)).decode()

    for happening in world.happenings:
        if happening.type == "customer.created":
            assert happening.after["email"] in everything
    assert re.search(r'"hosted_invoice_url": "https://', everything)
    assert re.search(r'"client_secret": "pi_\w+_secret_', everything)


@pytest.mark.parametrize(
    ("months", "expected"),
    [(1, "2026-02-28"), (2, "2026-03-31"), (3, "2026-04-30"), (12, "2027-01-31"), (25, "2028-02-29")],
)
def test_a_period_ends_on_the_day_of_its_anchor_or_on_the_last_of_the_month(months: int, expected: str) -> None:
    anchor = epoch(datetime(2026, 1, 31, 8, 30, tzinfo=UTC))
    end = datetime.fromtimestamp(months_after(anchor, months), UTC)

    assert end.isoformat() == f"{expected}T08:30:00+00:00"


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_periods_follow_each_other_without_a_gap(seed: int) -> None:
    for subscription in tell(seed, 25).subscriptions.values():
        if any(body["status"] == "paused" for body in subscription.truth):
            continue  # Whoever pauses and comes back begins anew.
        periods = [period_of(body) for body in subscription.truth]
        for (_, end), (next_start, next_end) in itertools.pairwise(periods):
            assert next_start <= end
            assert next_start < next_end


def period_of(body: Json) -> tuple[int, int]:
    item = body["items"]["data"][0]
    return item["current_period_start"], item["current_period_end"]


def test_a_trial_is_warned_of_three_days_before_its_end() -> None:
    happenings = tell(5, 60).happenings
    warnings = [happening for happening in happenings if happening.type == "customer.subscription.trial_will_end"]

    assert warnings
    for warning in warnings:
        assert warning.after["trial_end"] - warning.created == 3 * DAY_SECONDS


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_nothing_happens_to_a_subscription_after_its_end(seed: int) -> None:
    last: dict[str, Happening] = {}
    for happening in tell(seed, 30).happenings:
        if happening.type.startswith("customer.subscription."):
            before = last.get(happening.object_id)
            assert before is None or before.after["status"] not in ("canceled", "incomplete_expired")
            last[happening.object_id] = happening
