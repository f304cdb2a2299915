"""What became of each request, as the generator hands it over: columns, because there are a million of them."""

import json
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Self

from bench.requests import Post

NO_ANSWER = 0
"""The status of a request whose connection broke."""


@dataclass(slots=True)
class Answers:
    """One row a request, in the order of the answers; moments are of the machine's monotonic clock."""

    events: "array[int]" = field(default_factory=lambda: array("q"))  # The place of its event in `fact_ids`.
    copies: "array[int]" = field(default_factory=lambda: array("b"))  # 1: the event had been sent before.
    due: "array[float]" = field(default_factory=lambda: array("d"))
    answered: "array[float]" = field(default_factory=lambda: array("d"))
    statuses: "array[int]" = field(default_factory=lambda: array("H"))
    fact_ids: list[str] = field(default_factory=list)  # Every distinct event that was sent.

    def note(self, post: Post, *, due: float, answered: float, status: int) -> None:
        """Remember an answer."""
        self.events.append(post.event)
        self.copies.append(post.copy)
        self.due.append(due)
        self.answered.append(answered)
        self.statuses.append(status)

    def write(self, path: Path) -> None:
        """All of it in *path*."""
        with path.open("wb") as file:
            file.write(json.dumps([len(self.events), len(self.fact_ids)]).encode() + b"\n")
            for column in self._columns():
                column.tofile(file)
            file.write("\n".join(self.fact_ids).encode())

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` wrote."""
        with path.open("rb") as file:
            return cls._read(file)

    @classmethod
    def _read(cls, file: BinaryIO) -> Self:
        found = cls()
        requests, events = json.loads(file.readline())
        for column in found._columns():
            column.fromfile(file, requests)
        found.fact_ids = file.read().decode().split("\n") if events else []
        assert len(found.fact_ids) == events, "the file is whole"
        return found

    def _columns(self) -> "tuple[array[int] | array[float], ...]":
        return self.events, self.copies, self.due, self.answered, self.statuses
