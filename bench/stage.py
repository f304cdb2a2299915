"""An experiment on its stage: servers of its own, its cases in turn, and each trial kept as soon as it has ended."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from bench import known, machine, servers, sides, sink
from bench.experiments.experiment import Case, Experiment, with_mix
from bench.results import Part, Run
from bench.run import run_trial
from bench.schedule import Turn, turns
from bench.sides import Ground
from bench.trial import Mix, Trial
from ops.local.errors import CannotStart
from ops.local.postgres import Role
from ops.local.programs import CATALOG

DISK_BYTES_MIN: Final = 25 * 10**9
"""What a million events take, in Kafka, in PostgreSQL and in its log, and half as much again."""


class Watcher(Protocol):
    """Somebody who wants to know how far it is."""

    def began(self, turn: Turn) -> None:
        """A trial begins."""

    def ended(self, turn: Turn) -> None:
        """It has ended, well or not."""

    def filling(self, count: int) -> Callable[[int], None]:
        """So many subscribers are put in now; the answer hears how many more are in."""


@dataclass(slots=True)
class Stage:
    """The servers of an experiment, each started when its first case comes."""

    folder: Path
    watcher: Watcher
    stack: AsyncExitStack
    grounds: dict[str, Ground] = field(default_factory=dict)

    async def ground(self, case: Case) -> Ground:
        """The servers that *case* runs on, with the subscribers in them that it wants known."""
        if case.stack not in self.grounds:
            home = self.folder / f"stack-{len(self.grounds)}"
            self.grounds[case.stack] = await self.stack.enter_async_context(sides.on_ground(home))
            if case.known_subscribers:
                await self._fill(self.grounds[case.stack], case.known_subscribers)
        return self.grounds[case.stack]

    async def perform(self, case: Case) -> Trial:
        """One trial of *case*."""
        ground = await self.ground(case)
        async with sink.listening(case.collects_traces) as told:
            side = ground.side(case.side, {**case.settings, **told}, ingresses=case.ingresses, books=case.books)
            return await run_trial(side, case.load, rss_every_seconds=case.rss_every_seconds)

    async def _fill(self, ground: Ground, count: int) -> None:
        postgres = ground.stack.postgres
        await known.fill(postgres.url(Role.OWNER), count, CATALOG, self.watcher.filling(count))
        await known.checkpoint(postgres.url(Role.SUPERUSER))


async def run(  # Each says how.
    experiment: Experiment, mix: Mix, *, rounds: int, quick: bool, watcher: Watcher, keep: Callable[[Part], None]
) -> Part:
    """The experiment's part of the results; *keep* has it after every trial.

    A trial that ends in an error is noted, and the next one begins: one bad trial is no reason to lose an hour.
    """
    async with _stage(watcher) as stage:
        cases = with_mix(experiment.cases(quick), mix)
        for case in cases:
            await stage.ground(case)
        part = Part(experiment.name, machine.describe(await _said_of_servers(stage)), quick=quick, rounds=rounds)
        for turn in turns(cases, rounds):
            watcher.began(turn)
            await _take(stage, turn, part)
            watcher.ended(turn)
            keep(part)
        return part


async def _take(stage: Stage, turn: Turn, part: Part) -> None:
    try:
        seen = await stage.perform(turn.case)
    except Exception as error:  # noqa: BLE001  # Whatever broke this trial, the others are wanted.
        part.broken.append(f"{turn.case.variant}, round {turn.round}: {type(error).__name__}: {error}")
    else:
        part.runs.append(Run(turn.case.variant, turn.round, turn.place, seen))


@asynccontextmanager
async def _stage(watcher: Watcher) -> AsyncIterator[Stage]:
    folder = Path(tempfile.mkdtemp(prefix="billstream-bench-"))
    try:
        if shutil.disk_usage(folder).free < DISK_BYTES_MIN:
            raise CannotStart(f"The bench needs {DISK_BYTES_MIN / 1e9:g} GB of free disk below {folder.parent}.")
        async with AsyncExitStack() as stack:
            yield Stage(folder, watcher, stack)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _said_of_servers(stage: Stage) -> dict[str, str]:
    """What the servers say of themselves; all stacks of an experiment are alike."""
    ground = next(iter(stage.grounds.values()))
    return await servers.describe(ground.stack.postgres.url(Role.SUPERUSER))
