"""How often the collector of cycles looks, once a process is up.

What a process has loaded by then it keeps until it ends, some hundred thousand objects: looking through them again and
again finds nothing.  A request or a batch leaves few cycles, and reference counts free all else at once.  Yet Python
looks after every 700 new objects, and each tenth look goes further back.
"""

import gc
from typing import Final

NEW_OBJECTS_BETWEEN_LOOKS: Final = 100_000
"""In storms of 100,000 events the books' memory is the same as with 20,000 (docs/decisions/0020)."""

YOUNG_LOOKS_BETWEEN_OLDER: Final = 10


def settle() -> None:
    """Leave what is loaded out of every later look, and look less often at the rest.  Called when a process is up."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS_BETWEEN_LOOKS, YOUNG_LOOKS_BETWEEN_OLDER, YOUNG_LOOKS_BETWEEN_OLDER)
