import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.platform.problems import SAYS
from ingress.platform.shapes import could_be_card_number
from tests.ingress_platform.support import BACK, DONE, PACK, PLAN, Said, Shop, new_account

CARDS = ["4242424242424242", "4000 0566 5566 5556", "5555-5555-5555-4444", "378282246310005", "6011111111111117"]
SECRET = "sk_test_51MqLiJLkdIwHu7ix"
UNREADABLE = {
    "nothing": b"",
    "no json": b"{",
    "not utf-8": b'{"return_url": "\xff"}',
    "a lone surrogate": b'{"return_url": "\\ud800"}',
    "deeply nested": b"[" * 20_000 + b"]" * 20_000,
}
MISSHAPEN = {
    "a list": b"[]",
    "null": b"null",
    "a string": b'"return_url"',
    "a number of 5,000 digits": b'{"return_url": ' + b"9" * 5_000 + b"}",
    "not a number": b'{"return_url": NaN}',
}


async def send(shop: Shop, body: bytes, **headers: str) -> Said:
    return await shop.post(new_account(), "portal-sessions", body, **headers)


def test_a_problem_has_one_number_and_one_sentence_each() -> None:
    titles = [title for _, title in SAYS.values()]

    assert len(set(titles)) == len(titles)
    assert all(status >= 400 for status, _ in SAYS.values())


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/accounts", "/v1/accounts/a/b", "/v1/accounts/a/", "/metrics", "/v2"])
async def test_where_there_is_nothing_a_problem_says_so(shop: Shop, path: str) -> None:
    said = await shop.ask("GET", path)

    assert (said.status, said.problem) == (404, "no-such-place")


async def test_a_method_that_is_not_for_here_is_told_which_ones_are(shop: Shop) -> None:
    said = await shop.ask("DELETE", "/v1/accounts/a")
    read = await shop.get("a/portal-sessions")

    assert (said.status, said.problem, said.headers["Allow"]) == (405, "no-such-method", "GET")
    assert (read.status, read.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("account", ["%20", "a%00b", "%2E%2E%2Fx", "a'b", "x" * 201, "", "%FF", "4242424242424242"])
async def test_an_id_in_a_path_is_an_id(shop: Shop, account: str) -> None:
    said = await shop.get(account)

    assert (said.status, said.problem, said.wrong) == (400, "parameter-invalid", {"account"})


@pytest.mark.parametrize("account", ["user_1", "9f1c-77", "somebody@shop.example", "a.b:c|d=e+f", "%41"])
async def test_a_platform_may_call_its_accounts_what_it_likes(shop: Shop, account: str) -> None:
    assert (await shop.get(account)).problem == "no-such-account"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_only_json_is_read(shop: Shop, content_type: str) -> None:
    said = await send(shop, b"{}", Content_Type=content_type)

    assert (said.status, said.problem) == (415, "not-json")


async def test_a_compressed_body_is_not_unpacked(shop: Shop) -> None:
    said = await send(shop, b"{}", Content_Encoding="gzip")

    assert (said.status, said.problem) == (415, "not-json")


async def test_a_body_has_64_kib_at_most_however_it_comes(shop: Shop) -> None:
    body = json.dumps({"return_url": BACK}).encode()

    fits = await send(shop, body.ljust(65_536))
    over = await send(shop, body.ljust(65_537))
    assert (fits.status, over.status, over.problem) == (201, 413, "too-large")

    async def pieces() -> Any:
        for _ in range(3):
            yield b" " * 32_768

    headers = {"Authorization": f"Bearer {shop.token}", "Idempotency-Key": "k", "Content-Type": "application/json"}
    url = f"{shop.address}/v1/accounts/a/portal-sessions"
    async with shop.http.post(url, data=pieces(), headers=headers) as answer:
        assert answer.status == 413


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
async def test_what_is_no_json_is_said_to_be_none(shop: Shop, body: bytes) -> None:
    said = await send(shop, body)

    assert (said.status, said.problem) in {(400, "body-unreadable"), (400, "body-invalid")}


@pytest.mark.parametrize("body", MISSHAPEN.values(), ids=MISSHAPEN)
async def test_json_that_is_no_request_is_a_bad_request(shop: Shop, body: bytes) -> None:
    said = await send(shop, body)

    assert said.status == 400
    assert len(json.dumps(said.body)) < 2_000, "nothing of it is repeated"


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"success_url", "cancel_url"}),
        (PLAN | {"plan": None}, {"plan"}),
        (PLAN | {"trial_days": "7"}, {"trial_days"}),
        (PLAN | {"trial_days": 1e3}, {"trial_days"}),
        (PLAN | {"trial_days": 731}, {"trial_days"}),
        (PLAN | {"automatic_tax": "yes"}, {"automatic_tax"}),
        (PLAN | {"coupon": "x"}, {"coupon"}),
        (PLAN | {"success_url": "javascript:alert(1)"}, {"success_url"}),
        (PLAN | {"pack": "credits_500"}, {"body"}),
        (PACK | {"trial_days": 7}, {"body"}),
    ],
)
async def test_each_wrong_field_is_named_with_what_would_be_right(
    shop: Shop, body: dict[str, Any], wrong: set[str]
) -> None:
    said = await shop.post(new_account(), "checkout-sessions", body)

    assert (said.status, said.problem, said.wrong) == (400, "body-invalid", wrong)
    assert all(one["right"] for one in said.body["errors"])


@pytest.mark.parametrize("body", [{"action": "explode"}, {"action": "cancel", "when": "never"}, {"action": "change"}])
async def test_what_is_to_become_of_a_subscription_is_one_of_three_things(shop: Shop, body: dict[str, str]) -> None:
    said = await shop.post(new_account(), "subscription", body)

    assert (said.status, said.problem) == (400, "body-invalid")
    assert said.wrong <= {"action", "when", "plan"}


@pytest.mark.parametrize("field", ["return_url", "unknown_field", SECRET, "Ünknown field"])
async def test_what_was_sent_is_never_repeated(shop: Shop, field: str) -> None:
    said = await send(shop, json.dumps({field: SECRET}).encode())

    assert said.status == 400
    assert SECRET not in json.dumps(said.body)


@pytest.mark.parametrize("card", CARDS)
async def test_no_card_number_passes_in_any_field_and_none_is_repeated(shop: Shop, card: str) -> None:
    account = new_account()
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("checkout-sessions", PLAN | {"plan": card}),
        ("checkout-sessions", PACK | {"pack": card}),
        ("checkout-sessions", PLAN | {"success_url": f"{BACK}?card={card.replace(' ', '-')}"}),
        ("checkout-sessions", PLAN | {"card": card}),
        ("checkout-sessions", PLAN | {card: "x"}),
        ("portal-sessions", {"return_url": f"{BACK}/{card.replace(' ', '-')}"}),
        ("subscription", {"action": "change", "plan": card}),
        ("subscription", {"action": "cancel", "subscription_id": card}),
        ("subscription", {"action": card}),
    ]

    said = await asyncio.gather(*(shop.post(account, what, body) for what, body in bodies))

    assert {one.status for one in said} == {400}
    assert not any(card in json.dumps(one.body) for one in said)
    assert list(shop.pretend.desk.journal.entries) == [], "Stripe was not asked"


@given(st.text("0123456789", min_size=10, max_size=17), st.sampled_from("23456"))
def test_every_number_that_a_card_could_have_is_seen_wherever_it_stands(rest: str, first: str) -> None:
    numbers = [first + rest + str(check) for check in range(10)]

    assert sum(could_be_card_number(number) for number in numbers) == 1, "one digit of ten is the right one"
    [card] = [number for number in numbers if could_be_card_number(number)]
    assert could_be_card_number(f"?card={card}&x")
    assert could_be_card_number(" ".join(card[at : at + 4] for at in range(0, len(card), 4)))


@pytest.mark.parametrize("text", ["", "mid_monthly", "2026-11-26T08:00:00", DONE, "order-1234567890", "1732608000000"])
def test_what_is_no_cards_number_is_let_be(text: str) -> None:
    assert not could_be_card_number(text)


async def test_what_is_not_http_is_answered_with_a_problem_too(shop: Shop) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(shop.address.rpartition(":")[2]))
    writer.write(b"POST / HTTP/9.9\r\n\r\n")

    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()

    assert head.split()[1] == b"400"
    assert b"application/problem+json" in head
    assert json.loads(body)["type"].endswith(":not-http")
