"""Where commands find the pipeline: what is given wins, what runs here completes it, and nothing is a sentence."""

from pathlib import Path

import psutil
import pytest

from ops import connection
from ops.local import state
from ops.local.errors import CannotStart
from ops.local.state import Phase, Process, State
from runtime.settings import KafkaSettings, StripeSettings


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "DATABASE_OWNER_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A stack that runs, as far as its state says: its supervisor is this very process."""
    secret = tmp_path / "secret"
    secret.write_text("whsec_of_the_stack\n")
    ours = psutil.Process()
    known = {
        "kafka_bootstrap_servers": "127.0.0.1:9999",
        "database_owner_url": "postgresql://owner@127.0.0.1/billing",
        "webhook_url": "http://127.0.0.1:1/webhooks/stripe",
        "webhook_secret_file": str(secret),
    }
    supervisor = Process(name="supervisor", pid=ours.pid, started=ours.create_time())
    state.write(tmp_path, State(phase=Phase.READY, supervisor=supervisor, settings=known))
    return tmp_path


def test_an_address_that_is_given_wins_over_the_stack_that_runs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker.example:9092")

    assert connection.settings(KafkaSettings, home).kafka_bootstrap_servers == "broker.example:9092"


def test_without_an_address_the_stack_that_runs_is_meant(home: Path) -> None:
    assert connection.settings(KafkaSettings, home).kafka_bootstrap_servers == "127.0.0.1:9999"
    assert connection.owner_url(home) == "postgresql://owner@127.0.0.1/billing"
    assert connection.webhook(home) == ("http://127.0.0.1:1/webhooks/stripe", "whsec_of_the_stack")


def test_beside_a_stack_that_runs_only_what_it_does_not_know_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("STRIPE_API_KEY", raising=False)

    class Settings(StripeSettings, KafkaSettings):
        """Of a command that asks Stripe."""

    with pytest.raises(SystemExit):
        connection.settings(Settings, home)

    assert capsys.readouterr().err == "settings: STRIPE_API_KEY: Field required\n"


def test_without_either_the_missing_setting_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        connection.settings(KafkaSettings, tmp_path)

    assert ended.value.code == 2
    assert "KAFKA_BOOTSTRAP_SERVERS" in capsys.readouterr().err
    with pytest.raises(CannotStart, match="make up"):
        connection.owner_url(tmp_path)


def test_a_stack_whose_supervisor_is_gone_is_no_stack(home: Path) -> None:
    found = state.read(home)
    assert found is not None
    gone = found.supervisor.model_copy(update={"started": found.supervisor.started - 3600})
    state.write(home, found.model_copy(update={"supervisor": gone}))

    assert state.running(home) is None
    assert state.settings_of(home) == {}


def test_a_state_that_another_version_wrote_is_no_stack(home: Path) -> None:
    state.path(home).write_text('{"something": "else"}')

    assert state.read(home) is None
