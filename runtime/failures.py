"""Trouble has three kinds; two of them and the end of the process are exceptions, and `store.intake` alone judges them.

A *refusal* is no exception at all: it is a value of the decision (`models.base.Refusal`), journaled and counted.
"""


class Transient(Exception):
    """The world is away: database, broker, network.  The same batch, again, in place, bounded, never acknowledged."""


class Poison(Exception):
    """This fact cannot be handled, our own bugs included.  It is parked, and the account's later facts behind it."""


class Stop(Exception):
    """This process must end, with its offset unmoved: going on would lose facts or spoil state.

    Whoever catches it logs `reason` and ends the process; nothing may catch it in order to go on.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
