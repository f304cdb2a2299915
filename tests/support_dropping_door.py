"""A bare door that says 200 to everything and loses one event, copies and all: what the bench must not overlook."""

from typing import Any

import uvloop

from bench.bare.ingress import BareDoor, serve
from bench.bare.settings import BareIngressSettings
from runtime.settings import load

LOST = 120


class DroppingDoor(BareDoor):
    def __init__(self, *what: Any) -> None:
        super().__init__(*what)
        self._count = 0
        self._lost = b""

    async def pass_on(self, body: bytes) -> None:
        self._count += 1
        if self._count == LOST:
            self._lost = body
        if body != self._lost:
            await super().pass_on(body)


if __name__ == "__main__":
    uvloop.run(serve(load(BareIngressSettings), DroppingDoor))
