"""What a local stack tells its processes is what they take."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.local.credentials import Credentials
from ops.local.programs import Servers, makers
from runtime.settings import PlatformSettings, StripeRequestsSettings, StripeSettings, load

SERVERS = Servers("127.0.0.1:9092", "postgresql://nobody@127.0.0.1/none")


@pytest.mark.parametrize(
    ("process", "settings_of"), [("stripe-requests", StripeRequestsSettings), ("platform", PlatformSettings)]
)
@pytest.mark.parametrize("base", [None, "http://127.0.0.1:12111"])
def test_who_asks_stripe_is_told_where_it_is_and_its_key_by_a_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    base: str | None,
    process: str,
    settings_of: type[StripeSettings],
) -> None:
    monkeypatch.delenv("STRIPE_API_BASE", raising=False)
    monkeypatch.setenv("STRIPE_API_KEY", "rk_test_0123456789")
    if base:
        monkeypatch.setenv("STRIPE_API_BASE", base)
    credentials = Credentials(tmp_path / "secrets")
    credentials.make(datetime.now(UTC))
    told = makers()[process](SERVERS, credentials).environment(SERVERS, credentials)
    monkeypatch.delenv("STRIPE_API_KEY")
    for name, value in told.items():
        monkeypatch.setenv(name, value)

    settings = load(settings_of)

    assert "rk_test" not in str(told)
    assert settings.stripe_api_key.get_secret_value() == "rk_test_0123456789"
    assert settings.stripe_api_base == (base or "https://api.stripe.com")
