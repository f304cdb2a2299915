"""Looks after the way to us: whether webhooks come as they used to, and whether Stripe still sends them at all."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Final

from models import silence
from models.events import Rule
from models.silence import Window
from runtime import logs
from runtime.stripe_client import Asking, StripeClient, path
from store import alarms
from store.alarms import Alarm
from store.postgres import Database

ENDPOINTS: Final = path("webhook_endpoints")
DISABLED: Final = "disabled"
WEBHOOKS: Final = "webhooks"
"""What a silence is about."""

log = logs.get_logger(__name__)


class Alarms:
    """Raises and clears them."""

    def __init__(self, stripe: StripeClient, database: Database, now: Callable[[], datetime], late: timedelta) -> None:
        self._stripe = stripe
        self._database = database
        self._now = now
        self._late = late

    async def listen(self) -> None:
        """Raise an alarm when too few webhooks come, and clear it when they come again."""
        was = bool(await alarms.on(self._database, Rule.WEBHOOKS_SILENT))
        quiet = silence.silent([one async for one in self._windows()], was=was)
        if quiet is None:
            await self._clear(Alarm(Rule.WEBHOOKS_SILENT, WEBHOOKS, "Webhooks come again as they used to."))
            return
        minutes = int(quiet.length.total_seconds() // 60)
        detail = (
            f"{quiet.now} webhooks in {minutes} minutes; on the quietest of the days before there were "
            f"{quiet.quietest} in the same time."
        )
        await self._raise(Alarm(Rule.WEBHOOKS_SILENT, WEBHOOKS, detail))

    async def look_at_endpoints(self) -> None:
        """Raise an alarm for each endpoint that Stripe has disabled, and clear it when it is enabled, or gone."""
        on = set(await alarms.on(self._database, Rule.ENDPOINT_DISABLED))
        disabled = {one["id"] async for one in self._stripe.each(ENDPOINTS, {}, Asking()) if one["status"] == DISABLED}
        for endpoint_id in sorted(disabled - on):
            detail = "Stripe sends nothing to this endpoint any more: enable it, then `billing backfill`."
            await self._raise(Alarm(Rule.ENDPOINT_DISABLED, endpoint_id, detail))
        for endpoint_id in sorted(on - disabled):
            await self._clear(Alarm(Rule.ENDPOINT_DISABLED, endpoint_id, "Stripe sends to it again, or it is gone."))

    async def _windows(self) -> AsyncIterator[Window]:
        """From the shortest on, as long as a longer one may tell more."""
        now = self._now()
        for length in silence.WINDOWS:
            window = await alarms.webhooks(self._database, length, now, self._late)
            yield window
            if silence.enough(window):
                return

    async def _raise(self, alarm: Alarm) -> None:
        if await alarms.raise_(self._database, alarm):
            log.error("alarm", rule=alarm.rule.value, subject=alarm.subject, detail=alarm.detail)

    async def _clear(self, alarm: Alarm) -> None:
        if await alarms.clear(self._database, alarm):
            log.info("alarm cleared", rule=alarm.rule.value, subject=alarm.subject, detail=alarm.detail)
