import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingress.platform.onces import KEPT_FOR, Onces
from ingress.platform.tables import Tables
from ops.local.waiting import until
from simulator.server.faults import FaultKind
from tests.ingress_platform.support import BACK, PACK, PLAN, Said, Shop, new_account, store_keys

SESSIONS = "/v1/checkout/sessions"
AFTER = [kind.value for kind in FaultKind if kind.value.endswith("_after")]
BEFORE = ["rate_limit", "error", "reset"]


def row(shop: Shop, key: str) -> dict[str, Any]:
    """What is kept of a request."""
    [found] = shop.bench.sql("SELECT * FROM door_requests WHERE idempotency_key = %(key)s", {"key": key})
    return found


async def ask_until_done(shop: Shop, account: str, what: str, body: object, key: str) -> Said:
    """Send it as a service would: again, with the same key, until it is done or refused."""
    said: list[Said] = []

    async def done() -> bool:
        said.append(await shop.post(account, what, body, Idempotency_Key=key))
        assert said[-1].status in {200, 201, 409, 503, 504}, said[-1]
        return said[-1].status < 300

    await until(done, 20, every_seconds=0.02)
    return said[-1]


async def test_asking_twice_is_asking_once(shop: Shop) -> None:
    account = new_account()

    first = await shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one")
    second = await shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one")

    assert first.status == second.status == 201
    assert first.body == second.body
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(shop.things("checkout.session", account)) == 1


async def test_another_key_is_another_request(shop: Shop) -> None:
    account = new_account()

    one, other = [await shop.post(account, "checkout-sessions", PLAN) for _ in range(2)]

    assert one.body["session_id"] != other.body["session_id"]


@pytest.mark.parametrize("key", ["", "a" * 256, "with space", "zwölf"])
async def test_what_is_done_needs_a_key_to_be_asked_again_by(shop: Shop, key: str) -> None:
    said = await shop.post(new_account(), "checkout-sessions", PLAN, Idempotency_Key=key)

    assert (said.status, said.problem, said.wrong) == (400, "idempotency-key-invalid", {"Idempotency-Key"})


async def test_a_key_is_for_one_request_whatever_of_it_is_another(shop: Shop) -> None:
    account = new_account()
    await shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one")

    said = [
        await shop.post(account, "checkout-sessions", PACK, Idempotency_Key="one"),
        await shop.post(account, "checkout-sessions", json.dumps(PLAN, indent=1).encode(), Idempotency_Key="one"),
        await shop.post(new_account(), "checkout-sessions", PLAN, Idempotency_Key="one"),
        await shop.post(account, "portal-sessions", {"return_url": BACK}, Idempotency_Key="one"),
    ]

    assert {(one.status, one.problem) for one in said} == {(422, "idempotency-key-reused")}
    assert len(shop.things("checkout.session", account)) == 1


async def test_a_key_whose_request_came_to_no_end_is_for_no_other_one_either(shop_in_a_hurry: Shop) -> None:
    shop, account = shop_in_a_hurry, new_account()
    shop.pretend.fault("hang", method="POST", path=SESSIONS)
    late = await shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one")
    shop.pretend.heal()

    other = await shop.post(account, "checkout-sessions", PACK, Idempotency_Key="one")
    same = await shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one")

    assert late.status == 504
    assert (other.status, other.problem) == (422, "idempotency-key-reused")
    assert same.status == 201


async def test_of_many_at_once_one_is_carried_out_and_the_others_hear_so(shop: Shop) -> None:
    account = new_account()
    shop.pretend.fault("slow", path=SESSIONS, seconds=0.2)

    said = await asyncio.gather(
        *(shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one") for _ in range(8))
    )

    assert sorted(one.status for one in said) == [201] + [409] * 7
    assert {one.problem for one in said if one.status == 409} == {"request-in-flight"}
    assert all(one.headers["Retry-After"] == "1" for one in said if one.status == 409)
    assert len(shop.things("checkout.session", account)) == 1


@pytest.mark.parametrize("kind", AFTER + BEFORE)
async def test_whatever_goes_wrong_at_stripe_the_same_key_gives_one_session(shop_in_a_hurry: Shop, kind: str) -> None:
    shop, account = shop_in_a_hurry, new_account()
    shop.pretend.fault(kind, method="POST", path=SESSIONS, count=2, seconds=30)

    said = await ask_until_done(shop, account, "checkout-sessions", PACK, "one")

    [session] = shop.things("checkout.session", account)
    assert said.body["session_id"] == session["id"]
    assert said.body["url"] == session["url"]


async def test_a_request_that_timed_out_at_stripe_and_was_done_is_answered_when_it_is_sent_again(
    shop_in_a_hurry: Shop,
) -> None:
    shop, account = shop_in_a_hurry, new_account()
    shop.pretend.fault("hang_after", method="POST", path=SESSIONS)

    late = await shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one")
    shop.pretend.heal()
    again = await shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one")

    assert (late.status, late.problem) == (504, "no-answer-in-time")
    assert "same Idempotency-Key" in late.body["detail"]
    assert int(late.headers["Retry-After"]) >= 1
    assert again.status == 201
    assert [one["id"] for one in shop.things("checkout.session", account)] == [again.body["session_id"]]


async def test_a_request_whose_process_died_is_taken_over_when_its_claim_ends(shop: Shop) -> None:
    account = new_account()
    first = await shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one")
    died = "UPDATE door_requests SET status = NULL, answer = NULL, sealed_with = NULL, claimed_until = now() + %(left)s"

    shop.bench.sql(died, {"left": timedelta(hours=1)})
    held = await shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one")
    shop.bench.sql(died, {"left": timedelta(seconds=-1)})
    taken = await shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one")

    assert (held.status, held.problem) == (409, "request-in-flight")
    assert taken.body == first.body
    assert len(shop.things("checkout.session", account)) == 1


async def test_what_stripe_refuses_is_an_answer_and_kept(shop: Shop) -> None:
    account = new_account()
    await shop.buy(account, PACK)
    [payment] = (await shop.get(account)).body["payments"]
    intent = payment["payment_id"]
    shop.bench.sql("UPDATE payments SET amount_minor = 5000 WHERE payment_id = %(id)s", {"id": intent})

    first = await shop.refund(intent, {"amount_minor": 4_000}, Idempotency_Key="one")
    second = await shop.refund(intent, {"amount_minor": 4_000}, Idempotency_Key="one")

    assert (first.status, first.problem) == (422, "stripe-refuses")
    assert second.body == first.body
    assert second.headers["Idempotent-Replayed"] == "true"


async def test_what_was_refused_before_stripe_was_asked_is_judged_anew(shop: Shop) -> None:
    account = new_account()
    early = await shop.post(account, "subscription", {"action": "cancel"}, Idempotency_Key="one")
    await shop.buy(account)

    later = await shop.post(account, "subscription", {"action": "cancel"}, Idempotency_Key="one")

    assert (early.status, early.problem) == (409, "state-forbids")
    assert (later.status, later.body["cancel_at_period_end"]) == (200, True)


async def test_what_is_kept_of_an_answer_opens_nothing_for_who_reads_the_table(shop: Shop) -> None:
    said = await shop.post(new_account(), "checkout-sessions", PLAN, Idempotency_Key="one")

    kept = row(shop, "one")

    assert said.body["session_id"] not in str(kept)
    assert said.body["session_id"].encode() not in bytes(kept["answer"])
    assert len(kept["request_sha256"]) == 32


async def test_requests_are_forgotten_after_two_days_and_a_bounded_number_at_a_time(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingress.platform.onces.FORGET_ROWS_MAX", 2)
    onces = Onces(Tables(shop.bench.database, 1), store_keys(shop.bench.folder))
    account = new_account()
    for number in range(4):
        await shop.post(account, "portal-sessions", {"return_url": BACK}, Idempotency_Key=f"key-{number}")
    shop.bench.sql("UPDATE door_requests SET began_at = now() - interval '1 minute' WHERE idempotency_key <> 'key-3'")
    now = datetime.now(UTC)

    assert await onces.forget(now) == 0
    late = now + KEPT_FOR - timedelta(seconds=30)
    assert [await onces.forget(late) for _ in range(3)] == [2, 1, 0]
    assert row(shop, "key-3")["status"] == 201
