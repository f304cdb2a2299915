"""`python -m bench.platform`: whether the platform's door answers in time, under load and with Stripe slow.

The door is the real one, with its database behind it and the whole pipeline beside it, before the pretend Stripe.  Each
account has a plan and a payment before the load begins.  The loop is open: requests fall due by schedule, whatever the
answers do, and their time is taken from the moment they were due.

Of each request is told whether it was *answered* within five seconds, with whatever status, and whether what it asked
for was *done* by then.  What Stripe does not answer in time is answered with 503 or 504 and a Retry-After: no promise
of ours makes Stripe quicker.
"""

import asyncio
import random
import statistics
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from secrets import token_bytes
from typing import Annotated, Any, Final

import aiohttp
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bench.evidence import quantiles
from models import api_keys
from models.api_keys import ApiKey, Scope
from ops import console
from ops.console import AsJson
from ops.local.postgres import Role
from ops.local.pretend import PretendStripe
from ops.local.stack import EVERYTHING, Stack
from ops.local.waiting import until
from runtime import clock
from simulator.scenarios.playing import stocked
from simulator.scenarios.stage import Stage
from store import api_keys as key_rows
from store.postgres import Database

SECONDS_MAX: Final = 5.0
"""The promise of the paths of payments."""

ANSWERED_MIN: Final = 0.999
ORIGIN: Final = "http://localhost:3000"
DONE: Final = {"success_url": f"{ORIGIN}/done?session={{CHECKOUT_SESSION_ID}}", "cancel_url": f"{ORIGIN}/back"}
SETTINGS: Final = {
    "STRIPE_REQUESTS_PER_SECOND": "80",  # Of the 100 that Stripe allows in live mode.
    "KEY_REQUESTS_PER_MINUTE": "1000000",  # One key makes all of the load.
    "SETTLE_SECONDS": "0.2",
}
GIVE_UP_SECONDS: Final = 60.0
READY_SECONDS_MAX: Final = 60.0
BEFORE_AT_ONCE: Final = 8
GOOD_CARD: Final = "4242424242424242"  # Of Stripe's test cards, the one that is always good.
PLANS: Final = ("high_monthly", "mid_monthly")


@dataclass(frozen=True, slots=True)
class Weather:
    """How Stripe is."""

    name: str
    faults: tuple[dict[str, object], ...] = ()
    is_there: bool = True  # Whether what is asked for can be done at all.


WEATHERS: Final = (
    Weather("well"),
    Weather("slow: 1 s each", ({"kind": "slow", "seconds": 1.0},)),
    Weather(
        "rough: 5 % go wrong",
        tuple({"kind": kind, "share": 0.0125} for kind in ("error", "error_after", "reset", "rate_limit")),
    ),
    Weather("silent", ({"kind": "hang"},), is_there=False),
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    what: str
    method: str
    path: str
    body: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of it; status 0 where there was no answer."""

    what: str
    status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who bought a plan."""

    name: str
    payment_id: str


class Visitors:
    """What a platform's services ask, by the dice: pages most, a refund now and then."""

    def __init__(self, accounts: list[Account], seed: int) -> None:
        self._accounts = accounts
        self._dice = random.Random(seed)  # noqa: S311  # No secret is made of it.
        self._turns = {account.name: 0 for account in accounts}
        self._numbers = count(1)

    def next(self) -> Ask:
        """One more request."""
        account = self._dice.choice(self._accounts)
        of = f"/v1/accounts/{account.name}"
        kinds: dict[str, Callable[[], Ask]] = {
            "account": lambda: Ask("account", "GET", of),
            "checkout, new": lambda: self._checkout(f"visitor-{next(self._numbers)}-{self._dice.getrandbits(40):x}"),
            "checkout, pack": lambda: Ask(
                "checkout, pack", "POST", f"{of}/checkout-sessions", {"pack": "credits_1000", **DONE}
            ),
            "portal": lambda: Ask("portal", "POST", f"{of}/portal-sessions", {"return_url": f"{ORIGIN}/back"}),
            "plan": lambda: self._plan(account.name, of),
            "refund": lambda: Ask("refund", "POST", f"/v1/payments/{account.payment_id}/refunds", {"amount_minor": 1}),
        }
        (kind,) = self._dice.choices(list(kinds), weights=(30, 25, 15, 15, 10, 5))
        return kinds[kind]()

    def _checkout(self, name: str) -> Ask:
        return Ask("checkout, new", "POST", f"/v1/accounts/{name}/checkout-sessions", {"plan": "mid_monthly", **DONE})

    def _plan(self, name: str, of: str) -> Ask:
        """Up and down in turn: each is a change."""
        turn, self._turns[name] = self._turns[name], self._turns[name] + 1
        return Ask("plan", "POST", f"{of}/subscription", {"action": "change", "plan": PLANS[turn % 2]})


class Door:
    """The platform's door, as its clients see it."""

    def __init__(self, http: aiohttp.ClientSession, address: str, token: str) -> None:
        self._http = http
        self._address = address
        self._token = token
        self._keys = count(1)

    async def ask(self, ask: Ask) -> tuple[int, Any]:
        """The status and the body of one answer."""
        headers = {"Authorization": f"Bearer {self._token}"}
        if ask.body is not None:
            headers["Idempotency-Key"] = f"bench-{next(self._keys)}"
        async with self._http.request(ask.method, self._address + ask.path, json=ask.body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def timed(self, ask: Ask, due: float) -> Answered:
        """What became of a request that is due now."""
        status = 0
        with suppress(aiohttp.ClientError, TimeoutError):
            status, _ = await self.ask(ask)
        return Answered(ask.what, status, clock.monotonic() - due)

    async def bought(self, stage: Stage, number: int) -> Account:
        """An account that buys a plan, pays, and is known with its payment."""
        name = f"account-{number}"
        _, session = await self.ask(
            Ask("", "POST", f"/v1/accounts/{name}/checkout-sessions", {"plan": "mid_monthly", **DONE})
        )
        await stage.page(session["url"], action="pay", card=GOOD_CARD)
        found: list[str] = []

        async def known() -> bool:
            _, shown = await self.ask(Ask("", "GET", f"/v1/accounts/{name}"))
            found[:] = [one["payment_id"] for one in shown.get("payments", []) if one["status"] == "succeeded"]
            return bool(found and shown.get("subscription"))

        await until(known, READY_SECONDS_MAX, every_seconds=0.2)
        return Account(name, found[0])


@asynccontextmanager
async def opened(pretend: PretendStripe) -> AsyncIterator[Door]:
    """A stack with the platform's door before *pretend*, and a key for it."""
    told = SETTINGS | {"STRIPE_API_BASE": pretend.address, "PLATFORM_RETURN_ORIGINS": ORIGIN}
    with tempfile.TemporaryDirectory(prefix="billstream-platform-") as home:
        async with (
            Stack(Path(home), names=(*EVERYTHING, "platform"), settings=told) as stack,
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(GIVE_UP_SECONDS), connector=aiohttp.TCPConnector(limit=0)
            ) as http,
        ):
            await pretend.listen(stack.webhook_url, stack.webhook_secret)
            yield Door(http, stack.url("platform"), await _key(stack.postgres.url(Role.APP)))


async def _key(url: str) -> str:
    token = api_keys.token(token_bytes(api_keys.ID_BYTES + api_keys.SECRET_BYTES), livemode=False)
    claim = api_keys.read(token)
    assert claim is not None, "it was made just now"
    made = ApiKey(
        key_id=claim.key_id,
        lineage=claim.key_id,
        name="bench",
        livemode=False,
        scopes=frozenset(Scope),
        created_at=clock.now() - timedelta(minutes=1),
    )
    async with Database(url, application_name="billing-bench") as database:
        await key_rows.create(database, made, claim.secret_sha256)
    return token


async def loaded(
    door: Door, visitors: Visitors, rate: float, seconds: float, tick: Callable[[], None]
) -> list[Answered]:
    """*rate* requests a second for so long, and what became of each."""
    began = clock.monotonic()
    asking: list[asyncio.Task[Answered]] = []
    for place in range(int(rate * seconds)):
        due = began + place / rate
        await asyncio.sleep(max(0.0, due - clock.monotonic()))
        asking.append(asyncio.create_task(door.timed(visitors.next(), due)))
        asking[-1].add_done_callback(lambda _: tick())
    return await asyncio.gather(*asking)


@dataclass(frozen=True, slots=True)
class Result:
    """One weather, as it was met."""

    weather: str
    requests: int
    answered: float  # The share that had an answer within the time.
    done: float  # The share of which what was asked for was done within the time.
    done_ms: tuple[float, float, float]  # Of these: the median, the 99th of a hundred, the slowest.
    statuses: dict[int, int]
    promised: bool  # Whether what was done counts as well, or the answer alone.

    @property
    def kept(self) -> bool:
        """Whether the promise was kept."""
        return (self.done if self.promised else self.answered) >= ANSWERED_MIN


def result(weather: Weather, answers: list[Answered]) -> Result:
    """What there is to say of a load."""
    in_time = [one for one in answers if one.status and one.seconds <= SECONDS_MAX]
    done = [one for one in in_time if one.status < 500 and one.status != 429]  # noqa: PLR2004  # HTTP's own.
    took = quantiles([one.seconds * 1e3 for one in done])
    return Result(
        weather=weather.name,
        requests=len(answers),
        answered=len(in_time) / len(answers),
        done=len(done) / len(answers),
        done_ms=(took.p50, took.p99, took.max),
        statuses=dict(sorted(Counter(one.status for one in answers).items())),
        promised=weather.is_there,
    )


async def measured(rate: float, seconds: float, accounts: int, rounds: int, seed: int) -> list[Result]:
    """Every weather in turn, so many times."""
    results = []
    async with (
        PretendStripe(seed) as pretend,
        Stage(pretend.address) as stage,
        opened(pretend) as door,
    ):
        await stocked(stage)
        with _progress() as progress:
            bar = progress.add_task("accounts", total=accounts)
            known = [one async for one in _bought(door, stage, accounts, partial(progress.advance, bar))]
            visitors = Visitors(known, seed)
            for number, weather in _turns(rounds):
                bar = progress.add_task(f"{number}: {weather.name}", total=int(rate * seconds))
                for fault in weather.faults:
                    await pretend.fault(fault)
                answers = await loaded(door, visitors, rate, seconds, partial(progress.advance, bar))
                await pretend.heal()
                results.append(result(weather, answers))
    return results


async def _bought(door: Door, stage: Stage, accounts: int, tick: Callable[[], None]) -> AsyncIterator[Account]:
    for begin in range(0, accounts, BEFORE_AT_ONCE):
        numbers = range(begin, min(begin + BEFORE_AT_ONCE, accounts))
        for one in await asyncio.gather(*(door.bought(stage, number) for number in numbers)):
            tick()
            yield one


def _turns(rounds: int) -> Iterator[tuple[int, Weather]]:
    for number in range(1, rounds + 1):
        for weather in WEATHERS:
            yield number, weather


def _progress() -> Progress:
    columns = (TextColumn("{task.description:<22}"), BarColumn(24), MofNCompleteColumn())
    return Progress(*columns, console=console.err)


def main(  # noqa: PLR0917  # typer makes options of them.
    rate: Annotated[float, typer.Option(min=1, help="Requests a second.")] = 20.0,
    seconds: Annotated[float, typer.Option(min=1, help="For so long in each weather.")] = 30.0,
    accounts: Annotated[int, typer.Option(min=1, help="With a plan and a payment, before the load.")] = 100,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    seed: Annotated[int, typer.Option()] = 2026,
    as_json: AsJson = False,
) -> None:
    """Ask the platform's door for everything while Stripe is well, slow, rough and silent."""
    results = asyncio.run(measured(rate, seconds, accounts, rounds, seed))
    if as_json:
        console.show_json([asdict(one) for one in results])
    else:
        rows = [_row(weather, [one for one in results if one.weather == weather.name]) for weather in WEATHERS]
        columns = ("Stripe is", "n", "requests", "answered %", "done %", "p50 ms", "p99", "max")
        console.show_table(columns, rows, title=f"{rate:g} requests/s for {seconds:g} s, {accounts} accounts")
        for one in results:
            if not one.kept:
                console.problem(f"{one.weather}: not {ANSWERED_MIN:.1%} in time; answers by status: {one.statuses}")
    raise typer.Exit(0 if all(one.kept for one in results) else 1)


def _row(weather: Weather, seen: list[Result]) -> tuple[str, ...]:
    """The worst round's shares, the median round's times."""
    times = [f"{statistics.median(one.done_ms[place] for one in seen):.0f}" for place in range(3)]
    answered, done = min(one.answered for one in seen), min(one.done for one in seen)
    asked = sum(one.requests for one in seen)
    return (weather.name, str(len(seen)), str(asked), f"{answered:.2%}", f"{done:.2%}", *times)


if __name__ == "__main__":
    typer.run(main)
