"""Drift is what Stripe shows otherwise than we believe it: nothing else, and all of it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert

from models import drift
from models.drift import TOLD_BY_SOME_VERSIONS, Drift, Why
from models.objects import Charge

WHEN = datetime(2026, 11, 1, tzinfo=UTC)


def charge(**more: object) -> Charge:
    told = {
        "status": "succeeded",
        "currency": "usd",
        "amount_minor": 500,
        "amount_captured_minor": 500,
        "amount_refunded_minor": 0,
        "payment_intent_id": "pi_1",
        "invoice_id": None,
        "failure_code": None,
        "purpose": None,
        "created_at": WHEN,
        "livemode": False,
    }
    return convert(told | more, Charge)


changes = st.fixed_dictionaries(
    {},
    optional={
        "status": st.just("pending"),
        "amount_refunded_minor": st.integers(1, 500),
        "invoice_id": st.just("in_1"),
        "failure_code": st.just("card_declined"),
        "purpose": st.just("credits"),
    },
)


def test_the_same_is_no_drift() -> None:
    assert drift.between("charge", "ch_1", charge(), charge()) is None


def test_what_we_never_saw_is_missing() -> None:
    assert drift.between("charge", "ch_1", None, charge()) == Drift(kind="charge", object_id="ch_1", why=Why.MISSING)


@given(changes)
def test_every_field_that_all_versions_tell_counts_and_no_other(changed: dict[str, object]) -> None:
    found = drift.between("charge", "ch_1", charge(), charge(**changed))

    told = sorted(set(changed) - TOLD_BY_SOME_VERSIONS)
    assert (list(found.fields) if found else []) == told


@pytest.mark.parametrize("field", sorted(TOLD_BY_SOME_VERSIONS & set(Charge.__struct_fields__)))
def test_a_link_that_some_versions_tell_is_left_to_the_payment(field: str) -> None:
    assert drift.between("charge", "ch_1", charge(**{field: "x_1"}), charge()) is None
