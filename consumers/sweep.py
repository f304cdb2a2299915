"""`python -m consumers.sweep`: looks every minute for events that no webhook brought, and whether webhooks come at all.

Each round goes through Stripe's list from its newest event back to an hour before the newest one of the round before,
so that a process that was away for days leaves no hole.  Any number may run: what two of them tell counts once.
"""

import asyncio
import signal
from contextlib import suppress
from datetime import timedelta
from typing import Final

import uvloop
from prometheus_client import Counter, Gauge

from consumers.alarms import Alarms
from consumers.backfill import EVENTS, KEPT, Backfill, Place, Progress, Wish
from consumers.facts import Facts, Untold
from runtime import clock, garbage, health, kafka, logs, settings
from runtime.keys import Keyring
from runtime.settings import SweepSettings
from runtime.stripe_client import Asking, StripeClient, StripeTrouble
from store import bookmarks
from store.postgres import Database, is_transient

PROCESS: Final = "sweep"
SWEPT: Final = "sweep.swept"
"""Under this name is kept when the newest event happened that the last whole round saw."""

ROUNDS: Final = Counter("sweep_rounds", "Looks through Stripe's events, by how they ended", ["outcome"])
SWEPT_UNTIL: Final = Gauge("sweep_newest_event_seconds", "When the newest event that was compared happened, since 1970")

log = logs.get_logger(__name__)


class Sweep:
    """Round after round."""

    def __init__(self, backfill: Backfill, stripe: StripeClient, database: Database, config: SweepSettings) -> None:
        late = timedelta(seconds=config.sweep_settle_seconds)
        self._alarms = Alarms(stripe, database, clock.now, late)
        self._backfill = backfill
        self._stripe = stripe
        self._database = database
        self._config = config
        self._wish = Wish(PROCESS, settle=late)

    async def run(self, stopping: asyncio.Event) -> None:
        """Look, and look again, until *stopping* is set.  Outages are waited out."""
        while not stopping.is_set():
            outcome = "whole"
            try:
                await self._alarms.listen()
                await self._alarms.look_at_endpoints()
                await self.round()
            except (StripeTrouble, Untold) as trouble:
                outcome = type(trouble).__name__.lower()
                log.warning("the sweep was broken off", error=type(trouble).__name__, reason=str(trouble))
            except Exception as failure:
                if not is_transient(failure):
                    raise
                outcome = "transient"
                log.warning("the sweep was broken off", error=type(failure).__name__)
            ROUNDS.labels(outcome).inc()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._config.sweep_seconds):
                    await stopping.wait()

    async def round(self) -> Progress:
        """One look, from where the last one was broken off, if it was."""
        place = await self._backfill.begun(self._wish) or await self._next()
        progress = Progress(place)
        async for come in self._backfill.look(self._wish, place):
            progress = come
        if progress.place.newest is not None:
            await bookmarks.move(self._database, SWEPT, str(progress.place.newest))
            SWEPT_UNTIL.set(progress.place.newest)
        if progress.told:
            log.warning("events were missing", told=progress.told, listed=progress.listed)
        return progress

    async def _next(self) -> Place:
        swept = await bookmarks.read(self._database, SWEPT)
        if swept is not None:
            again = max(self._config.sweep_overlap_seconds, self._config.sweep_settle_seconds)
            return Place(since=int(swept) - again)
        now = (await self._stripe.read(EVENTS, {"limit": 1}, Asking())).answered_at
        return Place(since=int((now - KEPT).timestamp()))


async def sweep(config: SweepSettings) -> None:
    """Look until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for signalled in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signalled, stopping.set)
    keyring = Keyring.from_file(config.edge_keys_file)
    async with (
        StripeClient.of(config) as stripe,
        Database(config.database_url.get_secret_value(), application_name=PROCESS) as database,
        Facts(kafka.client_options(config), keyring, livemode=config.stripe_livemode) as facts,
    ):
        answers = await health.serve(config.metrics_host, config.metrics_port, database.ping)
        garbage.settle()
        try:
            await Sweep(Backfill(stripe, database, facts, clock.now), stripe, database, config).run(stopping)
        finally:
            await answers.cleanup()


def main() -> None:
    """Run until SIGTERM."""
    config = settings.load(SweepSettings)
    logs.configure(PROCESS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(sweep(config))


if __name__ == "__main__":
    main()
