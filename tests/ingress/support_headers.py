"""Signature headers that nobody may be believed by."""

import hashlib
import hmac

from tests.ingress.support import OTHER_SECRET, SECRET

# Around a header's value HTTP knows no spaces: sent over a connection, these are good.
GOOD_OVER_HTTP = frozenset({"space before the time", "space after the signature"})


def mac(body: bytes, *, at: int, secret: str = SECRET) -> str:
    """The v1 signature of *body*, signed *at* this second."""
    return hmac.new(secret.encode(), b"%d.%s" % (at, body), hashlib.sha256).hexdigest()


def hostile_headers(body: bytes, now: int) -> dict[str, str | None]:
    """Headers for *body* that are wrong in one way each, but not in their time unless they say so."""
    return _misshapen(body, now) | _missigned(body, now)


def _misshapen(body: bytes, now: int) -> dict[str, str | None]:
    return {
        "no header": None,
        "empty header": "",
        "a space": " ",
        "commas": ",,,,",
        "equals": "====",
        "only a time": f"t={now}",
        "only a signature": f"v1={mac(body, at=now)}",
        "time without value": f"t,v1={mac(body, at=now)}",
        "empty time": f"t=,v1={mac(body, at=now)}",
        "time in words": f"t=now,v1={mac(body, at=now)}",
        "time as a fraction": f"t={now}.0,v1={mac(body, at=now)}",
        "time in hexadecimal": f"t={hex(now)},v1={mac(body, at=now)}",
        "time of 5,000 digits": f"t={'9' * 5_000},v1={mac(body, at=now)}",
        "time of 400 digits": f"t={'9' * 400},v1={mac(body, at=now)}",
        "negative time": f"t=-{now},v1={mac(body, at=-now)}",
        "time zero": f"t=0,v1={mac(body, at=0)}",
        "another time than signed": f"t={now + 1},v1={mac(body, at=now)}",
        "two times, the wrong one first": f"t={now + 1},t={now},v1={mac(body, at=now)}",
        "name of the time in capitals": f"T={now},v1={mac(body, at=now)}",
        "name of the scheme in capitals": f"t={now},V1={mac(body, at=now)}",
        "space before the scheme": f"t={now}, v1={mac(body, at=now)}",
        "space before the time": f" t={now},v1={mac(body, at=now)}",
        "space around equals": f"t={now},v1 = {mac(body, at=now)}",
        "space after the signature": f"t={now},v1={mac(body, at=now)} ",
        "semicolons": f"t={now};v1={mac(body, at=now)}",
    }


def _missigned(body: bytes, now: int) -> dict[str, str | None]:
    return {
        "v0 only": f"t={now},v0={mac(body, at=now)}",
        "v2 only": f"t={now},v2={mac(body, at=now)}",
        "empty signature": f"t={now},v1=",
        "signature without value": f"t={now},v1",
        "a good signature and one without value": f"t={now},v1={mac(body, at=now)},v1",
        "a good time and one without value": f"t={now},t,v1={mac(body, at=now)}",
        "signature in capitals": f"t={now},v1={mac(body, at=now).upper()}",
        "signature cut short": f"t={now},v1={mac(body, at=now)[:-1]}",
        "signature with one more": f"t={now},v1={mac(body, at=now)}0",
        "signature of zeros": f"t={now},v1={'0' * 64}",
        "signature in base64": f"t={now},v1=NDI=",
        "signature quoted": f't={now},v1="{mac(body, at=now)}"',
        "signature in other letters": f"t={now},v1={chr(0x430) * 64}",
        "signature with undecodable bytes": f"t={now},v1={chr(0xDCFF) * 64}",
        "name in undecodable bytes": f"t={now},{chr(0xDCFF)}1={mac(body, at=now)}",
        "a NUL": f"t={now},v1=\0{mac(body, at=now)}",
        "another secret": f"t={now},v1={mac(body, at=now, secret=OTHER_SECRET)}",
        "the empty secret": f"t={now},v1={mac(body, at=now, secret='')}",
        "the secret without its prefix": f"t={now},v1={mac(body, at=now, secret=SECRET.removeprefix('whsec_'))}",
        "the body alone": f"t={now},v1={hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}",
        "another body": f"t={now},v1={mac(b'{}', at=now)}",
        "another hash": f"t={now},v1={hmac.new(SECRET.encode(), b'%d.%s' % (now, body), hashlib.sha512).hexdigest()}",
        "10,000 signatures": f"t={now}" + ",v1=00" * 10_000,
    }
