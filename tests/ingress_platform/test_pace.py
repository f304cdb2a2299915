import asyncio

from tests.ingress_platform.support import Shop, new_account, shop_on
from tests.support_store import Bench
from tests.support_stripe import Pretend


async def test_a_key_may_ask_so_often_a_minute_and_then_hears_when_again(bench: Bench, pretend: Pretend) -> None:
    async with shop_on(bench, pretend, key_requests_per_minute=5) as shop:
        account, other = new_account(), await shop.key()
        said = await asyncio.gather(*(shop.get(account) for _ in range(8)))
        theirs = await shop.get(account, Authorization=f"Bearer {other}")

    assert sorted(one.status for one in said) == [404] * 5 + [429] * 3
    assert theirs.status == 404, "another key has a pace of its own"
    [problem] = {one.problem for one in said if one.status == 429}
    assert problem == "too-many-requests"
    assert all(1 <= int(one.headers["Retry-After"]) <= 61 for one in said if one.status == 429)


async def test_who_has_no_key_uses_up_nobodys_pace(bench: Bench, pretend: Pretend) -> None:
    async with shop_on(bench, pretend, key_requests_per_minute=1) as shop:
        forged = shop.token[:-4] + ("aaaa" if not shop.token.endswith("aaaa") else "bbbb")
        refused = [(await shop.get("a", Authorization=f"Bearer {forged}")).status for _ in range(3)]

        assert refused == [401] * 3
        assert (await shop.get(new_account())).status == 404


async def test_requests_are_counted_by_route_and_status(shop: Shop) -> None:
    async def counted() -> float:
        async with shop.http.get(f"http://127.0.0.1:{shop.metrics_port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        of = 'platform_requests_total{route="show_account",status="404"}'
        return sum(float(line.split()[-1]) for line in lines if line.startswith(of))

    before = await counted()
    await shop.get(new_account())

    assert await counted() == before + 1
