"""What an answer of Stripe's that is no success means: never again, not now, or nobody knows."""

from collections.abc import Mapping

import pytest
from multidict import CIMultiDict

from runtime.stripe_errors import Again, KeptFailure, Refused, StripeTrouble, Unknown, judge


def trouble(
    status: int,
    *,
    code: object = None,
    headers: Mapping[str, str] | None = None,
    writes: bool = True,
    **error: object,
) -> StripeTrouble:
    body = {"error": {"type": "invalid_request_error", "code": code, **error}}
    return judge(status, CIMultiDict(headers or {}), body, writes=writes)


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "parameter_missing"), (402, "card_declined"), (403, "permission_denied"), (404, "resource_missing")],
)
def test_what_stripe_will_never_do_is_refused_with_its_code(status: int, code: str) -> None:
    told = trouble(status, code=code, param="amount", headers={"Request-Id": "req_1"})

    assert type(told) is Refused
    assert (told.reason, told.status, told.param, told.request_id) == (code, status, "amount", "req_1")


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "rate_limit"), (429, "lock_timeout"), (409, "idempotency_key_in_use"), (400, "rate_limit")],
)
def test_what_passes_by_itself_is_for_later(status: int, code: str) -> None:
    assert type(trouble(status, code=code)) is Again


def test_a_key_that_is_refused_spoils_no_request_it_is_the_key_that_is_wrong() -> None:
    assert (type(trouble(401)), trouble(401).reason) == (Again, "key_refused")


@pytest.mark.parametrize(("asked", "waits"), [("3", 3.0), ("9999", 60.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None)])
def test_stripe_says_when_to_ask_again_within_reason(asked: str, waits: float | None) -> None:
    assert trouble(429, headers={"Retry-After": asked}).after_seconds == waits


def test_after_a_broken_answer_a_question_may_be_put_again_and_a_deed_may_have_been_done() -> None:
    assert type(trouble(500, writes=False)) is Again
    assert type(trouble(503, writes=True)) is Unknown


def test_a_success_that_cannot_be_read_may_have_been_one() -> None:
    assert type(judge(200, {}, None, writes=True)) is Unknown
    assert type(judge(200, {}, None, writes=False)) is Again


@pytest.mark.parametrize("header", [{"Idempotent-Replayed": "true"}, {"Stripe-Should-Retry": "false"}])
def test_a_failure_that_the_same_key_would_get_again_is_kept(header: Mapping[str, str]) -> None:
    assert type(trouble(500, headers=header)) is KeptFailure
    assert type(trouble(500, headers=header, writes=False)) is Again


@pytest.mark.parametrize("body", [None, "<html>", [], {}, {"error": "invalid_grant"}, {"error": {"code": 7}}])
def test_an_answer_without_a_code_is_named_by_its_status(body: object) -> None:
    assert judge(400, {}, body, writes=True).reason == "http_400"


def test_what_stripe_writes_for_people_goes_nowhere() -> None:
    told = trouble(400, code="No customer ada@example.com", param="näme", message="No such customer: ada@example.com")

    assert "ada" not in f"{told!r} {told} {told.reason} {told.__dict__}"
    assert (told.reason, told.param) == ("invalid_request_error", None)
