"""Whatever anybody asks, the pretend Stripe answers as Stripe would, and never breaks."""

import re
from collections import Counter, defaultdict
from urllib.parse import parse_qsl, urlencode

from simulator.dice import Dice
from simulator.server.resources.all import ROUTES
from tests.simulator_server.support import Pretend
from tests.simulator_server.support_tour import Visit, take

VALUES = (
    *("", "x", "0", "-1", "1", "2000", "999999999999999999", "99999999999999999999", "1.5", "true", "false", "null"),
    *("usd", "eur", "now", "month", "payment", "subscription", "setup", "card", "once", "all", "void", "\0", "\ud7ff"),
    *("pm_card_visa", "pm_card_chargeDeclined", "pm_card_threeDSecure2Required", "4242424242424242"),
    *("https://x.example", "winning_evidence", 'name:"x"', "1769846400", "customer", "data.customer"),
)
SUFFIXES = ("", "", "", "", "[]", "[0]", "[a]", "[0][price]", "[0][quantity]", "[enabled]", "[metadata][a]", "[gte]")
ID = re.compile(r"\b((?:[a-z]+_)+)[A-Za-z0-9]{10,}\b")


async def test_no_parameter_in_no_bracket_breaks_anything(pretend: Pretend) -> None:
    dice, answered = Dice("brackets"), Counter[int]()
    for route in ROUTES * 6:
        names = [*route.accepts.needs, *dice.choices([*route.accepts.fields, "expand", "pony"], k=3)]
        form = urlencode([(f"{name}{dice.one_of(SUFFIXES)}", dice.one_of(VALUES)) for name in names])
        path = route.path.replace("{", "").replace("}", "")
        url, sent = (path, form) if route.method == "POST" else (f"{path}?{form}", "")
        status, told, _ = await pretend.ask(route.method, url, sent)
        assert status in {200, 400, 402, 404}, (route.method, url, sent, told)
        assert (status == 200) != ("error" in told)
        answered[status] += 1

    assert min(answered[status] for status in (200, 400, 404)) > 0


async def test_nothing_that_is_half_right_breaks_anything(pretend: Pretend) -> None:
    """All that was right on the tour is asked again, with something left out, or said of another thing."""
    visits = [*await take(pretend)] * 4
    dice, answered = Dice("half right"), Counter[int]()
    kin = _kin(visits)
    dice.shuffle(visits)
    for number, visit in enumerate(visits):
        path = ID.sub(lambda found: dice.one_of(kin[found[1]]) if dice.happens(0.5) else found[0], visit.path)
        form = urlencode(_spoiled(parse_qsl(visit.form, keep_blank_values=True), kin, dice))
        url, sent = (path, form) if visit.method == "POST" else (f"{path}?{form}", "")
        status, told, _ = await pretend.ask(visit.method, url, sent)
        assert status in {200, 400, 402, 404}, (visit.method, url, sent, told)
        answered[status] += 1
        if number % 100 == 0:
            await pretend.advance(days=dice.randint(1, 10))

    assert answered[200] > len(visits) / 4
    assert answered[400] > len(visits) / 4


def _kin(visits: list[Visit]) -> dict[str, list[str]]:
    """All ids that were seen, by their prefix."""
    kin = defaultdict(list)
    for found in ID.finditer("\n".join(f"{visit.path} {visit.form} {visit.body}" for visit in visits)):
        kin[found[1]].append(found[0])
    return kin


def _spoiled(pairs: list[tuple[str, str]], kin: dict[str, list[str]], dice: Dice) -> list[tuple[str, str]]:
    for _ in range(dice.randint(0, 2) if pairs else 0):
        place = dice.randrange(len(pairs))
        name, value = pairs[place]
        match dice.randint(1, 5):
            case 1:
                pairs[place] = ("pony", value)
            case 2 | 3:
                pairs[place] = (name, dice.one_of(VALUES))
            case _:
                pairs[place] = (name, ID.sub(lambda found: dice.one_of(kin[found[1]]), value))
    return pairs
