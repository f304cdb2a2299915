"""Typed parameters: what a request may say, and Stripe's own words where it says something else.

A reader takes a parameter's name and its raw tree, and gives the value or raises Refused.  None is a parameter that the
request unsets: Stripe takes an empty string for that.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from simulator.refusals import Refused
from simulator.server.forms import Raw, as_array

Reader = Callable[[str, Raw], Any]
"""From a parameter's name and raw value to its value."""

METADATA_KEYS_MAX: Final = 50
METADATA_KEY_LENGTH_MAX: Final = 40
METADATA_VALUE_LENGTH_MAX: Final = 500
TEXT_LENGTH_MAX: Final = 5_000

_WHOLE: Final = re.compile(r"-?\d{1,18}")
_DECIMAL: Final = re.compile(r"-?\d{1,18}(\.\d{1,12})?")
_DIGITS: Final = re.compile(r"\d{1,6}")


def text(param: str, raw: Raw) -> str:
    """A string that says something."""
    if not isinstance(raw, str):
        raise Refused(f"Invalid string: {raw}", param=param)
    if not raw:
        raise Refused(
            f"You passed an empty string for '{param}'. We assume empty values are an attempt to unset a parameter; "
            f"however '{param}' cannot be unset. You should remove '{param}' from your request or supply a non-empty "
            "value.",
            code="parameter_invalid_empty",
            param=param,
        )
    if len(raw) > TEXT_LENGTH_MAX:
        raise Refused(f"Invalid string: must be at most {TEXT_LENGTH_MAX} characters", param=param)
    return raw


def whole(param: str, raw: Raw) -> int:
    """A whole number."""
    if not isinstance(raw, str) or not _WHOLE.fullmatch(raw):
        raise Refused(f"Invalid integer: {raw}", code="parameter_invalid_integer", param=param)
    return int(raw)


def decimal(param: str, raw: Raw) -> str:
    """A decimal number, kept as it is written."""
    if not isinstance(raw, str) or not _DECIMAL.fullmatch(raw):
        raise Refused(f"Invalid decimal: {raw}", param=param)
    return raw


def percent(param: str, raw: Raw) -> float:
    """A share of a hundred."""
    return float(decimal(param, raw))


def flag(param: str, raw: Raw) -> bool:
    """True or false."""
    if raw not in ("true", "false"):  # A tuple: what has no hash is asked about, too.
        raise Refused(f"Invalid boolean: {raw}", param=param)
    return raw == "true"


def choice(*words: str) -> Reader:
    """One of these words."""

    def read(param: str, raw: Raw) -> str:
        if raw not in words:
            listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])}, or {words[-1]}"
            raise Refused(f"Invalid {param}: must be one of {listed}", param=param)
        return str(raw)

    return read


def either(first: Reader, second: Reader) -> Reader:
    """What the first reader takes, else what the second does."""

    def read(param: str, raw: Raw) -> Any:
        try:
            return first(param, raw)
        except Refused:
            return second(param, raw)

    return read


def unsettable(reader: Reader) -> Reader:
    """What the *reader* takes, or None for the empty string that unsets it."""
    return lambda param, raw: None if raw == "" else reader(param, raw)


def many(reader: Reader, count_max: int = 100) -> Reader:
    """An array of what the *reader* takes."""

    def read(param: str, raw: Raw) -> list[Any]:
        if isinstance(raw, str) or not all(_DIGITS.fullmatch(index) for index in raw):
            raise Refused("Invalid array", param=param)
        if len(raw) > count_max:
            raise Refused(f"Array has too many items: {count_max} are the most", param=param)
        return [reader(f"{param}[{index}]", one) for index, one in enumerate(as_array(raw))]

    return read


def metadata(param: str, raw: Raw) -> dict[str, str | None]:
    """Names and values of the caller's own; None where an empty value takes a name away."""
    if isinstance(raw, str):
        raise Refused("Invalid hash", param=param)
    if len(raw) > METADATA_KEYS_MAX:
        raise Refused(f"You can only specify {METADATA_KEYS_MAX} metadata keys.", param=param)
    return {name: _metadata_value(param, name, value) for name, value in raw.items()}


def _metadata_value(param: str, name: str, value: Raw) -> str | None:
    here = f"{param}[{name}]"
    if not isinstance(value, str):
        raise Refused("Metadata values can only be strings.", param=here)
    if len(name) > METADATA_KEY_LENGTH_MAX:
        raise Refused(f"Metadata keys can be at most {METADATA_KEY_LENGTH_MAX} characters.", param=here)
    if len(value) > METADATA_VALUE_LENGTH_MAX:
        raise Refused(f"Metadata values can have up to {METADATA_VALUE_LENGTH_MAX} characters.", param=here)
    return value or None


@dataclass(frozen=True, slots=True)
class Hash:
    """A hash whose names are known, and some of them needed."""

    fields: Mapping[str, Reader]
    needs: tuple[str, ...] = ()

    def __call__(self, param: str, raw: Raw) -> dict[str, Any]:
        """The values by their names, of those that were said."""
        if isinstance(raw, str):
            raise Refused("Invalid object", param=param)
        return self.read(raw, param)

    def read(self, raw: Mapping[str, Raw], param: str = "") -> dict[str, Any]:
        """The values of a hash under *param*, or of a whole request."""
        self._refuse_unknown(raw, param)
        self._refuse_missing(raw, param)
        return {name: self.fields[name](_under(param, name), value) for name, value in raw.items()}

    def with_fields(self, fields: Mapping[str, Reader]) -> "Hash":
        """The same hash, with these fields beside its own."""
        return Hash({**self.fields, **fields}, self.needs)

    def _refuse_unknown(self, raw: Iterable[str], param: str) -> None:
        unknown = [_under(param, name) for name in raw if name not in self.fields]
        if unknown:
            plural = "s" if unknown[1:] else ""
            raise Refused(
                f"Received unknown parameter{plural}: {', '.join(unknown)}", code="parameter_unknown", param=unknown[0]
            )

    def _refuse_missing(self, raw: Mapping[str, Raw], param: str) -> None:
        for name in self.needs:
            if name not in raw:
                missing = _under(param, name)
                raise Refused(f"Missing required param: {missing}.", code="parameter_missing", param=missing)


def _under(param: str, name: str) -> str:
    return f"{param}[{name}]" if param else name


NOTHING: Final = Hash({})

ADDRESS: Final = Hash(dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"), unsettable(text)))
SHIPPING: Final = Hash(
    {"address": ADDRESS, "name": text, "phone": unsettable(text)},
    needs=("address", "name"),
)
MOMENT_OR_NOW: Final = either(choice("now"), whole)
SPAN: Final = either(whole, Hash(dict.fromkeys(("gt", "gte", "lt", "lte"), whole)))
