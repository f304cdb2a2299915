"""What every slice of Stripe's objects is made of: lenient in what it does not need, strict in what it does."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, overload

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from models.base import Identifier

LATEST_SECOND: Final = 253_402_300_799  # The end of the year 9999: later ones do not fit a timestamp.


def _id_of(value: Any) -> Any:
    """An id, whether Stripe sent the id or expanded the object."""
    return value.get("id") if isinstance(value, Mapping) else value


Second = Annotated[int, Field(ge=0, le=LATEST_SECOND)]
Reference = Annotated[Identifier, BeforeValidator(_id_of)]


class StripeSlice(BaseModel):
    """Theirs: only what we read, and that in its own type: "yes" is no flag, and "29" no number."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


@overload
def moment(second: int) -> datetime: ...


@overload
def moment(second: None) -> None: ...


@overload
def moment(second: int | None) -> datetime | None: ...


def moment(second: int | None) -> datetime | None:
    """The instant of a second of Stripe's."""
    return None if second is None else datetime.fromtimestamp(second, UTC)
