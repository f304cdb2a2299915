"""Columns on their way to PostgreSQL, as arrays in its binary format.

psycopg finds out by looking at a list what it may be an array of, and then asks an element dumper for each element.
Here the statement's author says it, and a whole column is packed at once: that is quicker, and a list of integers has
one type whatever its values are (else psycopg prepares a statement for each).
(https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-FORMAT-CODES, array_send in arrayfuncs.c)
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from struct import Struct
from typing import ClassVar, Final, Self

from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEAD: Final = Struct(">iiIii")
"""Dimensions, whether any element is null, the element's type, the length, the lower bound."""

_EMPTY: Final = Struct(">iiI")
_LENGTH: Final = Struct(">i").pack
_BIGINT: Final = Struct(">iq").pack
_NULL: Final = _LENGTH(-1)
_TRUE: Final = _LENGTH(1) + b"\1"
_FALSE: Final = _LENGTH(1) + b"\0"
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Column(list[object]):
    """One column of many rows; its class says the element's type, None is null."""

    element_oid: ClassVar[int]
    array_oid: ClassVar[int]

    @classmethod
    def of(cls, rows: Iterable[object], attribute: str) -> Self:
        """One attribute of every row; dots reach into the row."""
        return cls(map(attrgetter(attribute), rows))

    def packed(self) -> list[bytes]:
        """Each element's length and value; each kind of column has its own way."""
        raise NotImplementedError


class Texts(Column):
    """text[]."""

    element_oid = 25
    array_oid = 1009

    def packed(self) -> list[bytes]:
        """Each string in UTF-8; PostgreSQL refuses NUL, and Python lone surrogates."""
        return [_NULL if one is None else _LENGTH(len(text := one.encode())) + text for one in self]  # type: ignore[attr-defined]


class Byteas(Column):
    """bytea[]."""

    element_oid = 17
    array_oid = 1001

    def packed(self) -> list[bytes]:
        """Each value as it is."""
        return [_NULL if one is None else _LENGTH(len(one)) + one for one in self]  # type: ignore[arg-type, operator]


class Bigints(Column):
    """bigint[]; struct.error beyond 64 bits."""

    element_oid = 20
    array_oid = 1016

    def packed(self) -> list[bytes]:
        """Each integer in 64 bits."""
        return [_NULL if one is None else _BIGINT(8, one) for one in self]


class Booleans(Column):
    """boolean[]."""

    element_oid = 16
    array_oid = 1000

    def packed(self) -> list[bytes]:
        """Each flag in a byte."""
        return [_NULL if one is None else _TRUE if one else _FALSE for one in self]


class Moments(Column):
    """timestamptz[], of aware datetimes; TypeError for a naive one."""

    element_oid = 1184
    array_oid = 1185

    def packed(self) -> list[bytes]:
        """Each moment in microseconds since 2000."""
        return [_NULL if one is None else _BIGINT(8, (one - _EPOCH) // _MICROSECOND) for one in self]  # type: ignore[operator]


class _ColumnDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Column) -> bytes:
        if not obj:
            return _EMPTY.pack(0, 0, obj.element_oid)
        head = _HEAD.pack(1, None in obj, obj.element_oid, len(obj), 1)
        return b"".join([head, *obj.packed()])


def register(context: AdaptContext) -> None:
    """Let the connections of *context* take columns as parameters."""
    for column in (Texts, Byteas, Bigints, Booleans, Moments):
        dumper = type(f"{column.__name__}Dumper", (_ColumnDumper,), {"oid": column.array_oid})
        context.adapters.register_dumper(column, dumper)
