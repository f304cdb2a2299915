"""Lives of subscribers, made from a seed: what Stripe would tell of them, in the order in which it truly happened."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.support_store import NEW, NOW, OLD, Json, Told, changed, customer

PRICES = ("free_monthly", "mid_monthly", "high_monthly", "unheard_of")
LIVING = ("trialing", "active", "past_due", "unpaid", "paused")


@dataclass
class Life:
    """One subscription being lived: its fields now, and how to tell of a change in either shape."""

    dice: random.Random
    number: int
    told: int = 0

    def __post_init__(self) -> None:
        self.second = NOW + self.dice.randrange(1_000)
        self.fields: Json = {"status": "trialing", "lookup_key": "mid_monthly", "quantity": 1, "start": self.second}
        self.fields |= {"cancel_at_period_end": False, "trial_end": None}
        self.name = self.dice.choice((None, "P1", f"P_{self.number}"))
        self.other_name = self.dice.random() < 0.15

    def live(self) -> Iterator[Told]:
        """From the beginning, through changes that often share a second, to an end, and sometimes a word after it."""
        yield self.tell("created", None)
        for _ in range(self.dice.randint(4, 12)):
            self.second += self.dice.choice((0, 0, 0, 0, 1, 7))
            yield self.dice.choice((self.change, self.change, self.change, self.remind, self.introduce))()
        if self.dice.random() < 0.6:
            before = dict(self.fields)
            self.fields["status"] = "canceled"
            yield self.tell("deleted", before)
            if self.dice.random() < 0.3:
                self.second += self.dice.choice((0, 5))
                self.fields["status"] = "active"
                yield self.change()

    def change(self) -> Told:
        before = dict(self.fields)
        news: tuple[Json, ...] = (
            {"status": self.dice.choice(LIVING)},
            {"lookup_key": self.dice.choice(PRICES)},
            {"quantity": self.dice.randint(1, 4)},
            {"cancel_at_period_end": not self.fields["cancel_at_period_end"]},
            {"trial_end": self.second + 500},
            {"start": self.second},
        )
        self.fields |= self.dice.choice(news)
        return self.tell("updated", before)

    def remind(self) -> Told:
        return self.tell("trial_will_end", None)

    def introduce(self) -> Told:
        """The platform says who it is, now and then by another name."""
        name = f"Q_{self.number}" if self.other_name and self.dice.random() < 0.5 else self.name
        return customer(self.next_id(), self.second, customer_id=self.customer_id, account=name)

    def tell(self, kind: str, before: Json | None) -> Told:
        api_version = self.dice.choice((OLD, NEW))
        shown = {"sid": f"sub_{self.number}", "customer": self.customer_id, "api_version": api_version}
        previous = None if before is None else self.previous(before, api_version)
        account = self.name if self.dice.random() < 0.1 else None
        return changed(
            self.next_id(), self.second, kind=kind, previous=previous, account=account, **shown, **self.fields
        )

    def previous(self, before: Json, api_version: str) -> Json:
        """What Stripe calls `previous_attributes`: the changed fields as they were."""
        was = changed("evt", api_version=api_version, **before)
        now = changed("evt", api_version=api_version, **self.fields)
        return {key: value for key, value in shown(was).items() if shown(now)[key] != value}

    @property
    def customer_id(self) -> str:
        return f"cus_{self.number}"

    def next_id(self) -> str:
        """Ids say nothing about order: they are random, as Stripe's are."""
        self.told += 1
        return f"evt_{self.dice.randrange(16**6):06x}_{self.number}_{self.told}"


def shown(one: Told) -> Json:
    """The object of an event."""
    import json

    obj: Json = json.loads(one.body)["data"]["object"]
    return {name: value for name, value in obj.items() if name not in {"id", "customer", "livemode", "metadata"}}


def lives(seed: int, count: int) -> list[list[Told]]:
    """Each life's events in the order in which they happened."""
    dice = random.Random(seed)
    return [list(Life(dice, number).live()) for number in range(count)]


def shuffled(told: Sequence[Told], dice: random.Random) -> list[Told]:
    """As they may arrive: in any order, a third of them more than once."""
    arriving = [*told, *(one for one in told if dice.random() < 0.33)]
    dice.shuffle(arriving)
    return arriving


def batches(told: Sequence[Told], dice: random.Random) -> Iterator[list[Told]]:
    """In batches of any size."""
    rest = list(told)
    while rest:
        size = dice.choice((1, 2, 5, 20, 60))
        yield rest[:size]
        rest = rest[size:]


def share_with_three_updates_in_one_second(told: Sequence[Sequence[Told]]) -> float:
    """How much of a corpus is hard."""
    hard = [life for life in told if max(_updates_by_second(life).values(), default=0) >= 3]
    return len(hard) / len(told)


def _updates_by_second(life: Sequence[Told]) -> Counter[object]:
    return Counter(one.envelope.occurred_at for one in life if one.envelope.type == "customer.subscription.updated")
