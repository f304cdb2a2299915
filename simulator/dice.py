"""All chance in the world comes from here, and all of it from the seed."""

import random
import string
from collections.abc import Sequence
from typing import Final, TypeVar

Choice = TypeVar("Choice")

_ALPHABET: Final = string.ascii_letters + string.digits


class Dice(random.Random):
    """Chance that plays again: the same seed throws the same numbers on every machine."""

    def __init__(self, seed: int | str) -> None:
        # A string is hashed by SHA-512 in `random`, so neighbouring seeds have nothing in common.
        super().__init__(str(seed))

    def identifier(self, prefix: str, length: int = 24) -> str:
        """An id as Stripe makes them: a prefix, then letters and digits that say nothing about time."""
        return f"{prefix}_{''.join(self.choices(_ALPHABET, k=length))}"

    def happens(self, share: float) -> bool:
        """True in *share* of all throws."""
        return self.random() < share

    def one_of(self, choices: Sequence[Choice], weights: Sequence[float] | None = None) -> Choice:
        """One of the *choices*, the heavier the likelier."""
        return self.choices(choices, weights=weights)[0]
