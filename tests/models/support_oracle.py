"""Histories as anybody sees them, so that ours and the oracle's can be laid side by side."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from msgspec import structs

from models.subscriptions import Line, Version
from simulator import oracle

Seen = tuple[tuple[str, dict[str, Any]], ...]
"""A history as anybody sees it: event ids, and all that is shown."""


def seen_by_us(subscription_id: str, line: Line) -> Seen:
    return tuple((version.fact_id, shown(subscription_id, version)) for version in line)


def seen_by_oracle(history: tuple[oracle.Snapshot, ...]) -> Seen:
    return tuple((snapshot.event_id, asdict(snapshot.after)) for snapshot in history)


def shown(subscription_id: str, version: Version) -> dict[str, Any]:
    """What we show, in the oracle's words: names, and seconds since 1970."""
    shown = {"subscription_id": subscription_id, **structs.asdict(version.state)}
    return {name: int(value.timestamp()) if isinstance(value, datetime) else value for name, value in shown.items()}
