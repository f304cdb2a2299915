"""Who may ask: any test key, as a bearer or as the user of basic authentication.  A live key never works here."""

import base64
import binascii
import re
from typing import Final

from simulator.refusals import Refused

_TEST_KEY: Final = re.compile(r"(?:sk|rk)_test_\w{1,200}")
_TAIL_SHOWN: Final = 4


def check_key(header: str | None) -> None:
    """Refuse an Authorization header that holds no key of the test mode."""
    if not header:
        raise Refused(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
            "https://stripe.com/docs/api#authentication for details, or we can help at https://support.stripe.com/.",
            status=401,
        )
    key = _key_in(header)
    if not _TEST_KEY.fullmatch(key):
        raise Refused(f"Invalid API Key provided: {masked(key)}", status=401)


def masked(key: str) -> str:
    """The key as it may be shown."""
    shown = key[-_TAIL_SHOWN:] if len(key) > 2 * _TAIL_SHOWN else ""
    return f"{'*' * (len(key) - len(shown))}{shown}"


def _key_in(header: str) -> str:
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "basic":
        return rest.strip() if scheme.lower() == "bearer" else header
    try:
        return base64.b64decode(rest, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""
