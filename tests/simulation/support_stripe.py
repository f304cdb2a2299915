"""What happens at Stripe in a simulated world, and how Stripe tells it: shuffled, twice, and again until heard."""

import random
from collections import deque
from dataclasses import dataclass

from models.base import Envelope
from models.stripe_events import Fact, Unreadable
from tests.models import support_facts
from tests.models.support_facts import BASIL, BEFORE_BASIL, NOON, Json
from tests.models.support_lifecycles import at_random
from tests.simulation.support_broker import Broker
from tests.simulation.support_ranges import Ranges


@dataclass(frozen=True, slots=True)
class Letter:
    """One event as Stripe made it, and what we read of it: `fact` is None where it cannot be read."""

    event: Json
    envelope: Envelope
    fact: Fact | None

    @property
    def identity(self) -> tuple[str, str]:
        """What it is known by."""
        return self.envelope.identity


def letter(event: Json) -> Letter:
    """Read an event once; workers read the same bytes the same way."""
    envelope = support_facts.envelope_of(event)
    try:
        return Letter(event, envelope, support_facts.fact_of(event))
    except Unreadable:
        return Letter(event, envelope, None)


def letters(chance: random.Random, ranges: Ranges) -> list[Letter]:
    """All that happens in this world, in the order in which Stripe comes to tell it: none."""
    events: list[Json] = []
    for number in range(ranges.customer_count):
        customer = f"cus_{number}"
        events.extend(_about(chance, customer, number) for number in range(chance.randint(0, 4)))
        for which in range(chance.randint(1, 2)):
            events.extend(_of_subscription(chance, ranges, customer, f"sub_{number}{which}"))
    for event in events:
        if chance.random() < ranges.unreadable_rate:
            event["data"]["object"]["status"] = "broken"
    chance.shuffle(events)
    return [letter(event) for event in events]


def _of_subscription(chance: random.Random, ranges: Ranges, customer: str, subscription_id: str) -> list[Json]:
    lifecycle = at_random(chance.randrange(2**32), ranges.steps_max, subscription_id)
    events = lifecycle.events(chance, (BEFORE_BASIL, BASIL))
    names_account = chance.random() < 0.3
    for event in events:
        event["data"]["object"]["customer"] = customer
        if names_account and chance.random() < 0.5:
            event["data"]["object"]["metadata"]["account_id"] = f"platform-{customer}"
    return events


def _about(chance: random.Random, customer: str, number: int) -> Json:
    kind = chance.choice(("customer.created", "customer.updated", "customer.deleted", "charge.succeeded", "new.thing"))
    account = chance.choice((None, None, f"platform-{customer}", "platform-of-another"))
    shown = {"id": customer, "object": "customer", "metadata": {"account_id": account}}
    return {
        "id": f"evt_{customer}_{number}",
        "type": kind,
        "created": NOON + chance.randrange(5),
        "api_version": BASIL,
        "livemode": False,
        "data": {"object": shown},
    }


class Sender:
    """Stripe's side of the webhook: an event is sent until a 2xx, which comes when the broker has it, or given up."""

    def __init__(self, chance: random.Random, ranges: Ranges, broker: Broker[Letter]) -> None:
        self._chance = chance
        self._ranges = ranges
        self._broker = broker
        self._waiting = deque(letters(chance, ranges))
        self.accepted: dict[tuple[str, str], Letter] = {}

    @property
    def is_done(self) -> bool:
        """Whether every event was accepted or given up."""
        return not self._waiting

    def step(self) -> None:
        """Send one event; without a 2xx it comes again, behind others."""
        if not self._waiting:
            return
        letter = self._waiting.popleft()
        if self._broker.produce(letter.envelope.partition_key, letter):
            self.accepted[letter.identity] = letter
            if self._happens(self._ranges.second_copy_rate):
                self._again(letter)
        elif not self._happens(self._ranges.given_up_rate):
            self._again(letter)

    def _again(self, letter: Letter) -> None:
        self._waiting.insert(self._chance.randint(0, len(self._waiting)), letter)

    def _happens(self, rate: float) -> bool:
        return self._chance.random() < rate
