import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from runtime.settings import (
    BooksSettings,
    IngressSettings,
    KafkaSettings,
    RelaySettings,
    StripeRequestsSettings,
    StripeSettings,
    load,
)

SECRET = "whsec_0123456789abcdef0123456789abcdef"
OTHER_SECRET = "whsec_fedcba9876543210fedcba9876543210"
GOOD = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "DATABASE_URL": "postgresql://billing_app:hunter22hunter@127.0.0.1/billing",
    "STRIPE_WEBHOOK_SECRETS": SECRET,
    "EDGE_KEYS_FILE": "edge.json",
    "STORE_KEYS_FILE": "store.json",
}
SASL = {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "hunter22hunter"}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    every = (IngressSettings, BooksSettings, StripeRequestsSettings)
    for name in {field.upper() for cls in every for field in cls.model_fields}:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.delenv("SECRETS_DIR", raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("cls", [IngressSettings, BooksSettings, RelaySettings, KafkaSettings])
def test_good_settings_load_and_show_no_secret(cls: type[KafkaSettings]) -> None:
    shown = repr(load(cls))

    assert "hunter22" not in shown
    assert "0123456789abcdef" not in shown


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"STRIPE_API_KEY": "sk_live_hunter22hunter"}, "STRIPE_API_KEY"),
        ({"STRIPE_API_KEY": "rk_live_hunter22hunter"}, "STRIPE_API_KEY"),
        ({"STRIPE_LIVEMODE": "true"}, "STRIPE_LIVEMODE"),
        ({"BILLING_ENVIRONMENT": "production", "STRIPE_API_KEY": "sk_live_hunter22hunter"}, "STRIPE_LIVEMODE"),
        (
            {
                "BILLING_ENVIRONMENT": "production",
                "STRIPE_LIVEMODE": "true",
                "STRIPE_API_KEY": "sk_test_hunter22hunter",
            },
            "STRIPE_LIVEMODE",
        ),
        ({"BILLING_ENVIRONMENT": "production", "FAILPOINTS_DIR": "failpoints"}, "FAILPOINTS_DIR"),
        ({"BILLING_ENVIRONMENT": "staging"}, "BILLING_ENVIRONMENT"),
        ({"STRIPE_WEBHOOK_SECRETS": ""}, "STRIPE_WEBHOOK_SECRETS"),
        ({"STRIPE_WEBHOOK_SECRETS": " "}, "STRIPE_WEBHOOK_SECRETS"),
        ({"STRIPE_WEBHOOK_SECRETS": f"{SECRET},"}, "STRIPE_WEBHOOK_SECRETS"),
        ({"STRIPE_WEBHOOK_SECRETS": "whsec_"}, "STRIPE_WEBHOOK_SECRETS"),
        ({"STRIPE_WEBHOOK_SECRETS": "whsec_hunter22"}, "STRIPE_WEBHOOK_SECRETS"),
        ({"STRIPE_WEBHOOK_SECRETS": "sk_test_hunter22hunter22hunter22"}, "STRIPE_WEBHOOK_SECRETS"),
        ({"STRIPE_WEBHOOK_SECRETS": "whsec_hunter22 hunter22 hunter22"}, "STRIPE_WEBHOOK_SECRETS"),
        ({"KAFKA_BOOTSTRAP_SERVERS": ""}, "KAFKA_BOOTSTRAP_SERVERS"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "localhost"}, "KAFKA_BOOTSTRAP_SERVERS"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "KAFKA_SECURITY_PROTOCOL"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", **SASL}, "KAFKA_SECURITY_PROTOCOL"),
        (SASL, "KAFKA_SECURITY_PROTOCOL"),
        ({"KAFKA_CA_FILE": "ca.pem"}, "KAFKA_SECURITY_PROTOCOL"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_CERT_FILE": "me.pem"}, "KAFKA_CERT_FILE"),
        (
            {
                "BILLING_ENVIRONMENT": "production",
                "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
                **SASL,
                "KAFKA_SASL_MECHANISM": "PLAIN",
            },
            "KAFKA_SECURITY_PROTOCOL",
        ),
        ({"INGRESS_PORT": "0"}, "INGRESS_PORT"),
        ({"BODY_BYTES_MAX": "1048576"}, "BODY_BYTES_MAX"),
        ({"STRIPE_WEBHOOK_SECRETS_FILE": "secrets"}, "STRIPE_WEBHOOK_SECRETS"),
    ],
)
def test_the_door_refuses_to_start_on(
    wrong: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit) as end:
        load(IngressSettings)

    said = capsys.readouterr().err
    assert end.value.code == 2
    assert named in said
    assert "hunter22" not in said
    assert all(line.startswith("settings: ") for line in said.splitlines())


@pytest.mark.parametrize(
    "wrong",
    [
        {"RETRY_SECONDS_MAX": "14", "REBALANCE_TIMEOUT_SECONDS": "14"},
        {"RETRY_SECONDS_MAX": "14", "WATCHDOG_SECONDS": "14"},
        {"HEARTBEAT_SECONDS": "3"},
        {"DATABASE_URL": "mysql://hunter22"},
        {"PARKED_RATIO_MAX": "1"},
        {"WORKER_ORDINAL": "-1"},
    ],
)
def test_a_worker_refuses_limits_that_contradict_each_other(
    wrong: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit):
        load(BooksSettings)

    said = capsys.readouterr().err
    assert next(iter(wrong)) in said
    assert "hunter22" not in said


def test_every_problem_has_its_own_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("EDGE_KEYS_FILE")
    monkeypatch.setenv("INGRESS_PORT", "http")

    with pytest.raises(SystemExit):
        load(IngressSettings)

    assert {line.split(":")[1].strip() for line in capsys.readouterr().err.splitlines()} == {
        "EDGE_KEYS_FILE",
        "INGRESS_PORT",
    }


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({}, "STRIPE_API_KEY"),
        ({"STRIPE_API_KEY": "hunter22hunter"}, "STRIPE_API_KEY"),
        ({"STRIPE_API_KEY": "pk_test_hunter22hunter"}, "STRIPE_API_KEY"),
        ({"STRIPE_API_KEY": "sk_test_hunter22\nhunter"}, "STRIPE_API_KEY"),
        ({"STRIPE_API_KEY": "sk_live_hunter22hunter"}, "STRIPE_API_KEY"),
        ({"STRIPE_API_KEY": "sk_test_hunter22", "STRIPE_API_BASE": "http://hunter22@127.0.0.1"}, "STRIPE_API_BASE"),
        ({"STRIPE_API_KEY": "sk_test_hunter22", "STRIPE_REQUESTS_PER_SECOND": "0"}, "STRIPE_REQUESTS_PER_SECOND"),
        (
            {
                "BILLING_ENVIRONMENT": "production",
                "STRIPE_LIVEMODE": "true",
                "STRIPE_API_KEY": "sk_live_hunter22hunter",
                "STRIPE_API_BASE": "https://stripe.example",
            },
            "STRIPE_API_BASE",
        ),
    ],
)
def test_nobody_asks_stripe_without_a_key_of_the_right_kind_for_the_right_place(
    wrong: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit):
        load(StripeRequestsSettings)

    said = capsys.readouterr().err
    assert named in said
    assert "hunter22" not in said


def test_a_key_of_a_sandbox_asks_stripe_itself_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", "rk_test_hunter22hunter")

    settings = load(StripeSettings)

    assert settings.stripe_api_base == "https://api.stripe.com"
    assert "hunter22" not in repr(settings)


def test_live_mode_is_for_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLING_ENVIRONMENT", "production")
    monkeypatch.setenv("STRIPE_LIVEMODE", "true")
    monkeypatch.setenv("STRIPE_API_KEY", "sk_live_hunter22hunter")

    assert load(IngressSettings).stripe_livemode


def test_two_secrets_hold_while_one_is_rotated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRETS", f"{SECRET}, {OTHER_SECRET}")

    secrets = load(IngressSettings).stripe_webhook_secrets

    assert [secret.get_secret_value() for secret in secrets] == [SECRET, OTHER_SECRET]


def test_a_secret_may_come_from_a_file_named_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "anything").write_text(f"{SECRET},{OTHER_SECRET}\n")
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRETS")
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRETS_FILE", str(tmp_path / "anything"))

    assert len(load(IngressSettings).stripe_webhook_secrets) == 2


def test_a_secret_may_come_from_the_secrets_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "database_url").write_text("postgresql://somewhere/else\n")
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))

    assert load(RelaySettings).database_url.get_secret_value() == "postgresql://somewhere/else"


def test_the_environment_is_stronger_than_the_secrets_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "database_url").write_text("postgresql://somewhere/else\n")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))

    assert load(RelaySettings).database_url.get_secret_value() == os.environ["DATABASE_URL"]


def test_a_secrets_file_that_is_not_there_is_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("DATABASE_URL_FILE", "nowhere/at/all")

    with pytest.raises(SystemExit):
        load(RelaySettings)

    assert "nowhere/at/all" in capsys.readouterr().err


def test_settings_do_not_change_after_they_were_read() -> None:
    settings = load(RelaySettings)

    with pytest.raises(ValidationError):
        settings.batch_max = 1  # type: ignore[misc]  # That mypy sees it too is the point.


def test_a_worker_that_comes_back_has_the_same_member_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_ORDINAL", "1")

    assert load(BooksSettings).kafka_member_id == load(BooksSettings).kafka_member_id == "billing.books-1"
