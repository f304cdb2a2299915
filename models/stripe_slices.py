"""What every slice of Stripe's objects is made of: lenient in what it does not need, strict in what it does.

msgspec reads them: it skips what nobody reads without making anything of it (docs/decisions/0023).
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Final, TypeAlias, TypeVar, overload

import msgspec
from msgspec.json import Decoder

from models.base import Identifier
from models.money import MINOR_MAX

SliceT = TypeVar("SliceT", bound="StripeSlice")

LATEST_SECOND: Final = 253_402_300_799  # The end of the year 9999: later ones do not fit a timestamp.


class StripeSlice(msgspec.Struct, frozen=True, kw_only=True):
    """Theirs: only what we read, and that in its own type: "yes" is no flag, and "29" no number."""


class Whole(StripeSlice, frozen=True, kw_only=True):
    """An object where its id would do: the endpoint's events expand it."""

    id: Identifier


Second = Annotated[int, msgspec.Meta(ge=0, le=LATEST_SECOND)]
Minor = Annotated[int, msgspec.Meta(ge=-MINOR_MAX, le=MINOR_MAX)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MINOR_MAX)]
Reference: TypeAlias = Identifier | Whole
"""An id, whether Stripe sent the id or expanded the object: `id_of` tells it."""


@overload
def id_of(shown: Reference) -> str: ...


@overload
def id_of(shown: Reference | None) -> str | None: ...


def id_of(shown: Reference | None) -> str | None:
    """The id of an object that is shown by it, or whole."""
    return shown.id if isinstance(shown, Whole) else shown


@overload
def moment(second: int) -> datetime: ...


@overload
def moment(second: None) -> None: ...


@overload
def moment(second: int | None) -> datetime | None: ...


def moment(second: int | None) -> datetime | None:
    """The instant of a second of Stripe's."""
    return None if second is None else datetime.fromtimestamp(second, UTC)


def read_usual(decoder: Decoder[SliceT], raw: bytes) -> SliceT | None:
    """What *raw* says, and nothing of it made Python's that nobody reads.

    None for whatever is not just so: the long way, over Python's own objects, alone decides what cannot be read.
    """
    try:
        raw.isascii() or raw.decode()  # msgspec does not look into the strings that it skips.
        return decoder.decode(raw)
    except (ValueError, RecursionError):  # UnicodeDecodeError and all of msgspec's among them.
        return None


_MISFIT: Final = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<where>.*)`)?", re.DOTALL)
_QUOTING: Final = "Invalid enum value"


def in_words(wrong: msgspec.ValidationError) -> str:
    """Which field is at fault, and why.  Its value may be anything, so it is left out."""
    found = _MISFIT.fullmatch(str(wrong))
    assert found is not None, "everything fits"
    what = _QUOTING if found["what"].startswith(_QUOTING) else found["what"]
    return f"{found['where'] or 'body'}: {what}"
