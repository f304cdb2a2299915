"""The generator, as whoever started it sees it: told step by step, and killed if it is still there at the end."""

import asyncio
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Final, Self

from pydantic import TypeAdapter

from bench.answers import Answers
from bench.corpus import lives
from bench.load import Order
from bench.sides import Door
from bench.trial import Load
from ops.local import folders, ports, surroundings
from runtime import clock

STEP_SECONDS_MAX: Final = 120.0


class Generator:
    """One order on its way: `warm`, `go`, then the answers."""

    def __init__(self, load: Load, door: Door) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="billstream-bench-")
        folder = Path(self._folder.name)
        self._order = Order(
            load=load,
            host=ports.HOST,
            port=door.port,
            path=door.path,
            secret=door.secret,
            first_generation=int(clock.now().timestamp() * 1_000),  # It counts on more slowly than the milliseconds do.
            lives_file=folder / "lives.json",
            answers_file=folder / "answers",
        )
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        """Started and connected."""
        order = Path(self._folder.name) / "order.json"
        lives(self._order.load.mix).write(self._order.lives_file)
        folders.write_privately(order, TypeAdapter(Order).dump_json(self._order).decode())
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.load", str(order)),
            stdin=PIPE,
            stdout=PIPE,
            cwd=folders.PROJECT,
            env=surroundings.handed_on(),
        )
        await self._hear("ready", STEP_SECONDS_MAX)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        process = self._running
        if process.returncode is None:
            process.kill()
            await process.wait()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running.pid

    async def warm(self) -> None:
        """The warmup is sent and answered, and requests are rendered ahead."""
        await self._tell("warm")
        await self._hear("warmed", STEP_SECONDS_MAX)
        await self._hear("rendered", STEP_SECONDS_MAX)

    async def go(self, seconds_max: float) -> None:
        """All is sent and answered; TimeoutError when that takes too long."""
        await self._tell("go")
        await self._hear("sent", seconds_max)

    async def answers(self) -> Answers:
        """What became of each request; the process has ended."""
        await self._tell("end")
        async with asyncio.timeout(STEP_SECONDS_MAX):
            await self._running.wait()
        return Answers.read(self._order.answers_file)

    @property
    def _running(self) -> Process:
        assert self._process is not None, "it was started"
        return self._process

    async def _tell(self, word: str) -> None:
        assert self._running.stdin is not None, "it is a pipe"
        self._running.stdin.write(f"{word}\n".encode())
        await self._running.stdin.drain()

    async def _hear(self, word: str, seconds_max: float) -> None:
        assert self._running.stdout is not None, "it is a pipe"
        async with asyncio.timeout(seconds_max):
            heard = (await self._running.stdout.readline()).decode().strip()
        if heard != word:
            raise GeneratorEnded(f"the generator said {heard!r} and not {word!r}: see its words above")


class GeneratorEnded(RuntimeError):
    """It ended before its work was done."""
