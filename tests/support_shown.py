"""Subscriptions in the words of the reports, whoever tells of them: the reports, our events, or the oracle."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from simulator import oracle
from simulator.states import SubscriptionState

BOUGHT = ("price_lookup_key", "billing_interval", "quantity")
MOMENTS = ("current_period_start", "current_period_end", "trial_end", "cancel_at", "canceled_at")
SHOWN = (
    *("subscription_id", "customer_id", "status", "plan", "cancel_at_period_end", "livemode"),
    *BOUGHT,
    *MOMENTS,
)
Shown = tuple[object, ...]
Lines = dict[str, list[Shown]]

PRESENT = "SELECT * FROM reports.subscriptions"
HISTORY = "SELECT * FROM reports.subscription_history ORDER BY subscription_id, version"


def lines_of_oracle(events: Iterable[dict[str, Any]]) -> Lines:
    """What each subscription was, version by version, by a fold that shares no code with the pipeline."""
    return {key: [shown(one.after) for one in line] for key, line in oracle.fold(events).items()}


def lines_of_history(rows: Iterable[Mapping[str, Any]]) -> Lines:
    """The same as the reports tell it; of rows in the order of HISTORY."""
    found: dict[str, list[Shown]] = defaultdict(list)
    for row in rows:
        found[row["subscription_id"]].append(shown_row(row))
    return dict(found)


def presents_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, Shown]:
    """How each subscription stands, as the reports tell it."""
    return {row["subscription_id"]: shown_row(row) for row in rows}


def lasts_of(lines: Mapping[str, Sequence[Shown]]) -> dict[str, Shown]:
    """The last version of each line."""
    return {key: line[-1] for key, line in lines.items()}


def shown(state: SubscriptionState) -> Shown:
    return shown_row(asdict(state))


def shown_row(row: Mapping[str, Any]) -> Shown:
    return tuple(_value(row, name) for name in SHOWN)


def _value(row: Mapping[str, Any], name: str) -> object:
    if name in BOUGHT and row["plan"] is None:
        return None  # Of what is not for sale the oracle says nothing.
    return second(row[name]) if name in MOMENTS else row[name]


def second(moment: datetime | str | int | None) -> int | None:
    if moment is None or isinstance(moment, int):
        return moment
    return int((datetime.fromisoformat(moment) if isinstance(moment, str) else moment).timestamp())
