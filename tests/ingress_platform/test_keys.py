import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from models import api_keys
from models.api_keys import Scope
from store import api_keys as rows
from store.api_keys import Successor
from tests.ingress_platform.support import BACK, PLAN, Shop, new_account, new_key

WRITES = {
    Scope.CHECKOUT_WRITE: ("accounts/a/checkout-sessions", PLAN),
    Scope.PORTAL_WRITE: ("accounts/a/portal-sessions", {"return_url": BACK}),
    Scope.SUBSCRIPTIONS_WRITE: ("accounts/a/subscription", {"action": "cancel"}),
    Scope.REFUNDS_WRITE: ("payments/pi_none/refunds", {}),
}
UNPROVEN = {
    "nothing": "",
    "no scheme": "bk_test_x",
    "another scheme": "Basic Ym9iOmJvYg==",
    "no key of ours": "Bearer sk_test_0123456789abcdef",
    "half a key": "Bearer bk_test_abcdefghijklmnop_",
    "a key that nobody made": f"Bearer {new_key(frozenset(Scope))[0]}",
}


def key_id_of(token: str) -> str:
    return f"key_{token.split('_')[2]}"


async def ask_for(shop: Shop, scope: Scope, token: str) -> int:
    """The status of a request that needs *scope*."""
    headers = {"Authorization": f"Bearer {token}"}
    if scope is Scope.ACCOUNTS_READ:
        return (await shop.get("a", **headers)).status
    path, body = WRITES[scope]
    return (await shop.ask("POST", f"/v1/{path}", body, **headers)).status


@pytest.mark.parametrize("authorization", UNPROVEN.values(), ids=UNPROVEN)
async def test_who_shows_no_valid_key_hears_how_to_and_nothing_else(shop: Shop, authorization: str) -> None:
    said = await shop.get(new_account(), Authorization=authorization)

    assert (said.status, said.problem) == (401, "key-needed")
    assert said.headers["WWW-Authenticate"].startswith("Bearer")
    assert not authorization or authorization.rsplit(maxsplit=1)[-1] not in str(said.body)


async def test_the_right_id_with_another_secret_opens_nothing(shop: Shop) -> None:
    forged = shop.token[:-4] + ("aaaa" if not shop.token.endswith("aaaa") else "bbbb")

    assert (await shop.get("a", Authorization=f"Bearer {forged}")).status == 401


async def test_a_key_allows_what_its_scope_says_and_no_more(shop: Shop) -> None:
    for allowed in Scope:
        token = await shop.key(allowed)
        refused = {scope for scope in Scope if await ask_for(shop, scope, token) == 403}

        assert refused == set(Scope) - {allowed}
    said = await shop.get("a", Authorization=f"Bearer {await shop.key(Scope.REFUNDS_WRITE)}")
    assert (said.problem, said.body["detail"]) == ("scope-missing", "The key needs the scope accounts:read.")


async def test_a_revoked_key_opens_nothing_from_the_next_request_on(shop: Shop) -> None:
    account, token = new_account(), await shop.key()
    assert (await shop.get(account, Authorization=f"Bearer {token}")).status == 404

    await rows.revoke(shop.bench.database, key_id_of(token), datetime.now(UTC))

    assert (await shop.get(account, Authorization=f"Bearer {token}")).status == 401


@pytest.mark.parametrize("ended", [{"expires_at": datetime.now(UTC) - timedelta(seconds=1)}, {"livemode": True}])
async def test_an_expired_key_and_one_of_the_other_mode_open_nothing(shop: Shop, ended: dict[str, object]) -> None:
    assert (await shop.get("a", Authorization=f"Bearer {await shop.key(**ended)}")).status == 401


async def test_while_a_key_is_rotated_both_are_valid_and_a_request_begun_with_one_ends_with_the_other(
    shop: Shop,
) -> None:
    account, now = new_account(), datetime.now(UTC)
    token = new_key(frozenset(Scope))[0]
    claim = api_keys.read(token)
    assert claim is not None
    successor = Successor(claim.key_id, claim.secret_sha256, None, now + timedelta(hours=1))
    assert await rows.succeed(shop.bench.database, key_id_of(shop.token), successor, now) is not None

    first = await shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one")
    again = await shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one", Authorization=f"Bearer {token}")

    assert first.status == again.status == 201
    assert first.body == again.body
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_the_same_idempotency_key_of_somebody_else_is_another_request(shop: Shop) -> None:
    account = new_account()
    token = await shop.key()

    mine = await shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one")
    theirs = await shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one", Authorization=f"Bearer {token}")

    assert mine.body["session_id"] != theirs.body["session_id"]


async def test_it_is_known_to_the_hour_when_a_key_was_used(shop: Shop) -> None:
    used = "SELECT last_used_at, xmin::text AS version FROM api_keys WHERE key_id = %(id)s"
    parameters = {"id": key_id_of(shop.token)}
    assert shop.bench.sql(used, parameters)[0]["last_used_at"] is None

    await shop.get("a")
    once = shop.bench.sql(used, parameters)
    await asyncio.gather(*(shop.get("a") for _ in range(5)))

    assert once[0]["last_used_at"] is not None
    assert shop.bench.sql(used, parameters) == once, "the next ones wrote nothing"
