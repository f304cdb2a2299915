from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st
from stripe import _webhook

from ingress.signature import Claim, Doubt, read
from tests.ingress import support_headers
from tests.ingress.support import OTHER_SECRET, SECRET
from tests.ingress.support_headers import hostile_headers

NOW = 1_767_225_600
TOLERANCE = 300
BODY = b'{"id": "evt_1", "type": "invoice.paid"}'


def mac(body: bytes = BODY, secret: str = SECRET, at: int = NOW) -> str:
    return support_headers.mac(body, at=at, secret=secret)


def believes(header: str | None, body: bytes = BODY, secrets: tuple[str, ...] = (SECRET,), now: float = NOW) -> bool:
    claim = read(header, datetime.fromtimestamp(now, UTC), TOLERANCE)
    return isinstance(claim, Claim) and claim.holds(body, tuple(secret.encode() for secret in secrets))


@pytest.mark.parametrize(
    "header",
    [
        f"t={NOW},v1={mac()}",
        f"v1={mac()},t={NOW}",
        f"t={NOW},v1={mac(secret=OTHER_SECRET)},v1={mac()}",
        f"t={NOW},v1={mac()},v1={mac(secret=OTHER_SECRET)}",
        f"t={NOW},v1={mac()},v0={'0' * 64}",
        f"t={NOW},v2=future,v1={mac()},something=else",
        f"t={NOW},{'v1=00,' * 100}v1={mac()}",
        f"t={NOW},v1={mac()},",
    ],
)
def test_a_signature_of_ours_is_believed_wherever_it_stands(header: str) -> None:
    assert believes(header)


HOSTILE = hostile_headers(BODY, NOW)
assert len(HOSTILE) >= 40


@pytest.mark.parametrize("header", HOSTILE.values(), ids=HOSTILE)
def test_nothing_else_is_believed(header: str | None) -> None:
    assert not believes(header)


@pytest.mark.parametrize(
    ("age_seconds", "believed"),
    [(0, True), (299, True), (300, True), (301, False), (-299, True), (-300, True), (-301, False), (10**7, False)],
)
def test_a_signature_is_good_for_300_seconds_before_and_after(age_seconds: int, believed: bool) -> None:
    at = NOW - age_seconds

    assert believes(f"t={at},v1={mac(at=at)}") is believed


def test_a_doubt_says_for_our_metrics_what_was_wrong() -> None:
    now = datetime.fromtimestamp(NOW, UTC)

    assert read(None, now, TOLERANCE) is Doubt.MISSING
    assert read("v1=00", now, TOLERANCE) is Doubt.MALFORMED
    assert read(f"t={NOW},v0=00", now, TOLERANCE) is Doubt.OTHER_SCHEME
    assert read(f"t={NOW - 301},v1=00", now, TOLERANCE) is Doubt.TOO_OLD
    assert read(f"t={NOW + 301},v1=00", now, TOLERANCE) is Doubt.TOO_NEW


@pytest.mark.parametrize("secrets", [(SECRET, OTHER_SECRET), (OTHER_SECRET, SECRET)])
@pytest.mark.parametrize("signer", [SECRET, OTHER_SECRET])
def test_while_a_secret_is_rotated_either_is_believed(secrets: tuple[str, ...], signer: str) -> None:
    assert believes(f"t={NOW},v1={mac(secret=signer)}", secrets=secrets)


def test_after_the_rotation_the_old_secret_is_not_believed() -> None:
    assert not believes(f"t={NOW},v1={mac(secret=OTHER_SECRET)}", secrets=(SECRET,))


def test_a_body_with_one_bit_changed_is_not_believed() -> None:
    header = f"t={NOW},v1={mac()}"
    for at in range(len(BODY) * 8):
        changed = bytearray(BODY)
        changed[at // 8] ^= 1 << at % 8
        assert not believes(header, bytes(changed))


# The library as the oracle.


@pytest.fixture(scope="module", autouse=True)
def _library_tells_the_same_time() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_webhook, "time", SimpleNamespace(time=lambda: NOW))
        yield


def library_believes(header: str | None, body: bytes) -> bool | None:
    """None where the library raises what it does not document."""
    try:
        stripe.WebhookSignature.verify_header(body, header, SECRET, TOLERANCE)
    except stripe.SignatureVerificationError:
        return False
    except (UnicodeDecodeError, TypeError):
        return None
    return True


bodies = st.one_of(st.just(BODY), st.binary(max_size=60), st.text(max_size=30).map(lambda text: text.encode()))
times = st.one_of(
    st.integers(NOW - 310, NOW + 310),
    st.sampled_from([NOW - 301, NOW - 300, NOW, NOW + 300, NOW + 301, 0, -1, 10**12, 10**400]),
)
loose_times = st.one_of(
    times.map(str),
    times.map(lambda at: f" {at}\t"),
    times.map(lambda at: f"+{at}"),
    times.map(lambda at: "".join(chr(0x660 + int(digit)) for digit in str(abs(at)))),
    st.sampled_from(["", "1_767_225_600", "1e9", "٣", "abc", "1=2"]),
    st.text(max_size=6),
)


@st.composite
def headers(draw: st.DrawFn, body: bytes) -> str:
    """Headers near enough to good ones that both answers are common."""
    at = draw(times)
    good = st.just(mac(body, at=at))
    item = st.one_of(
        good.map(lambda value: f"v1={value}"),
        good.map(lambda value: f"v1={value}={value}"),
        good.map(lambda value: f"v1={value.upper()}"),
        good.map(lambda value: f"v0={value}"),
        good.map(lambda value: f" v1={value}"),
        st.just(mac(body, OTHER_SECRET, at)).map(lambda value: f"v1={value}"),
        st.just(f"t={at}"),
        loose_times.map(lambda value: f"t={value}"),
        st.sampled_from(["v1=", "v1", "t", "", "=", "v1==", "x=y"]),
        st.text(max_size=8),
        st.text(max_size=8).map(lambda value: f"v1={value}"),
    )
    first = draw(st.sampled_from([[f"t={at}"], []]))
    return ",".join(first + draw(st.lists(item, max_size=5)))


@given(st.data())
@settings(max_examples=1_000, deadline=None)
def test_we_believe_what_the_library_believes_but_for_the_future_and_for_what_breaks_it(data: st.DataObject) -> None:
    body = data.draw(bodies)
    header = data.draw(headers(body))

    ours, theirs = believes(header, body), library_believes(header, body)

    if theirs is None:
        return  # It broke on bytes that we answered.
    if theirs and not ours:
        assert read(header, datetime.fromtimestamp(NOW, UTC), TOLERANCE) is Doubt.TOO_NEW
    else:
        assert ours is theirs


def test_the_differences_to_the_library_are_these() -> None:
    far = NOW + 10**9
    latin = b'{"name": "Jos\xe9"}'

    assert library_believes(f"t={far},v1={mac(at=far)}", BODY) is True
    assert not believes(f"t={far},v1={mac(at=far)}")
    assert library_believes(f"t={NOW},v1={mac(latin)}", latin) is None
    assert believes(f"t={NOW},v1={mac(latin)}", latin)
    assert library_believes(f"t={NOW},v1=é", BODY) is None
    assert not believes(f"t={NOW},v1=é")
