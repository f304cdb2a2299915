import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import yaml

from deploy.keys import KeysSettings
from runtime.settings import (
    BooksSettings,
    ClockSettings,
    DatabaseSettings,
    IngressSettings,
    KafkaSettings,
    PlatformSettings,
    ProcessSettings,
    RelaySettings,
    StripeRequestsSettings,
    SweepSettings,
)
from tests.support_compose import (
    COMPOSE,
    ONE_SHOTS,
    OURS,
    ROOT,
    SERVICES,
    STAYING,
    TEXT,
    environment_of,
    make_secrets,
    with_defaults,
)

SETTINGS: Final[dict[str, type[ProcessSettings]]] = {
    "keys": KeysSettings,
    "migrate": DatabaseSettings,
    "topics": KafkaSettings,
    "ingress": IngressSettings,
    "worker-0": BooksSettings,
    "worker-1": BooksSettings,
    "relay": RelaySettings,
    "clock": ClockSettings,
    "stripe-requests": StripeRequestsSettings,
    "sweep": SweepSettings,
    "platform": PlatformSettings,
}

COMPOSE_GO: Final = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"

each_service = pytest.mark.parametrize("name", sorted(SERVICES))
each_of_ours = pytest.mark.parametrize("name", sorted(OURS))


def mounted_secrets() -> set[str]:
    return {secret for service in SERVICES.values() for secret in service.get("secrets", ())}


def networks(name: str) -> set[str]:
    return set(SERVICES[name].get("networks", ()))


@each_service
def test_a_service_can_change_nothing_that_it_was_built_with(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & set(service)


@each_service
def test_no_service_runs_as_root(name: str) -> None:
    user, group = SERVICES[name]["user"].split(":")

    assert int(user) > 0
    assert int(group) > 0


@each_service
def test_every_service_has_limits(name: str) -> None:
    assert set(SERVICES[name]["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - OURS))
def test_every_image_of_others_has_a_version(name: str) -> None:
    assert re.fullmatch(r"[\w/]+:\d+\.\d+[\w.-]*", SERVICES[name]["image"])


@pytest.mark.parametrize("name", sorted(STAYING))
def test_every_service_that_stays_says_whether_it_is_well(name: str) -> None:
    probe = SERVICES[name]["healthcheck"]

    assert probe["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(probe)


@pytest.mark.parametrize("name", sorted(ONE_SHOTS))
def test_what_runs_once_is_waited_for(name: str) -> None:
    waiting = {
        other for other, service in SERVICES.items() if service.get("depends_on", {}).get(name, {}).get("condition")
    }

    assert waiting
    for other in waiting:
        assert SERVICES[other]["depends_on"][name]["condition"] == "service_completed_successfully"


def test_services_wait_for_what_they_need_to_be_well_not_merely_started() -> None:
    conditions = {
        (needed, condition["condition"])
        for service in SERVICES.values()
        for needed, condition in service.get("depends_on", {}).items()
    }

    assert {condition for needed, condition in conditions if needed in STAYING} == {"service_healthy"}


def test_only_the_doors_are_published_and_by_default_on_this_host_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert {name: [with_defaults(port) for port in given] for name, given in published.items()} == {
        "ingress": ["127.0.0.1:8080:8080"],
        "platform": ["127.0.0.1:8081:8081"],
    }


def test_stripes_door_stays_open_when_the_database_is_down() -> None:
    door = SERVICES["ingress"]

    assert not {"postgres", "migrate"} & set(door["depends_on"])
    assert "database" not in networks("ingress")
    assert not [secret for secret in door["secrets"] if secret.startswith("database")]


def test_only_who_asks_stripe_has_its_key_and_reaches_no_more_than_it_needs() -> None:
    holders = {name for name, service in SERVICES.items() if "stripe_api_key" in service.get("secrets", ())}

    assert holders == {"stripe-requests", "sweep", "platform"}
    assert networks("stripe-requests") == {"broker", "stripe"}
    assert networks("sweep") == {"broker", "database", "stripe"}
    assert networks("platform") == {"edge", "database", "stripe"}


def test_kafka_and_postgresql_reach_nobody_outside() -> None:
    assert networks("kafka") == {"broker"}
    assert networks("postgres") == {"database"}
    assert COMPOSE["networks"]["broker"] == COMPOSE["networks"]["database"] == {"internal": True}


def test_only_migrations_act_as_the_owner_of_the_tables() -> None:
    owners = {name for name, service in SERVICES.items() if "database_url_owner" in service.get("secrets", ())}

    assert owners == {"migrate"}


def test_only_the_keys_service_writes_keys_and_the_relay_sees_none() -> None:
    volumes = {
        name: volume
        for name, service in SERVICES.items()
        for volume in service.get("volumes", ())
        if volume.startswith("keys:")
    }

    assert {name for name, volume in volumes.items() if not volume.endswith(":ro")} == {"keys"}
    assert set(volumes) == {"keys", "ingress", "worker-0", "worker-1", "clock", "stripe-requests", "sweep", "platform"}


def test_each_worker_has_an_ordinal_of_its_own_and_cannot_be_scaled() -> None:
    workers = {name: service for name, service in SERVICES.items() if name.startswith("worker-")}
    ordinals = [service["environment"]["WORKER_ORDINAL"] for service in workers.values()]
    fixed_names = [service["container_name"] for service in workers.values()]

    assert sorted(ordinals) == ["0", "1"]
    assert len(set(fixed_names)) == len(workers)
    assert not [service for service in workers.values() if "replicas" in service["deploy"]]


def test_kafka_makes_no_topic_by_itself() -> None:
    assert SERVICES["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_no_secret_stands_in_the_file() -> None:
    assert not re.findall(r"whsec_|[sr]k_(?:live|test)_|postgres(?:ql)?://\S+:\S+@", TEXT)
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"SECRET|PASSWORD|DATABASE_URL|KEYS?_", variable):
                assert variable.endswith("_FILE"), (name, variable)
                assert value.startswith(("/run/secrets/", "/run/keys/")), (name, variable)


def test_every_secret_is_a_file_that_git_does_not_see() -> None:
    files = {name: secret["file"] for name, secret in COMPOSE["secrets"].items()}
    seen = subprocess.run(
        ["git", "check-ignore", *files.values()], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert files == {name: f"deploy/secrets/{name}" for name in mounted_secrets()}
    assert seen.stdout.split() == list(files.values())


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_secrets(tmp_path_factory.mktemp("made") / "secrets")


def test_every_mounted_secret_is_made_and_every_made_secret_is_mounted(secrets: Path) -> None:
    assert {path.name for path in secrets.iterdir()} == mounted_secrets()


@pytest.fixture
def environment(name: str, secrets: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The service's environment as compose would make it, with the secrets where they are here."""
    given = environment_of(name)
    for variable, value in given.items():
        monkeypatch.setenv(variable, value.replace("/run/secrets", str(secrets)))
    return given


@each_of_ours
def test_every_variable_is_a_setting_of_its_process(name: str, environment: dict[str, str]) -> None:
    fields = {field.upper() for field in SETTINGS[name].model_fields}

    unknown = {variable for variable in environment if not {variable, variable.removesuffix("_FILE")} & fields}

    assert unknown == set()


@each_of_ours
def test_whoever_can_trace_is_told_where_to(name: str) -> None:
    can = {"otel_exporter_otlp_endpoint", "trace_sample_ratio"} & SETTINGS[name].model_fields.keys()

    assert {field.upper() for field in can} <= SERVICES[name]["environment"].keys()


@each_of_ours
@pytest.mark.usefixtures("environment")
def test_a_process_starts_with_what_it_is_told_and_no_more(name: str) -> None:
    settings = SETTINGS[name]()

    assert not settings.in_production
    assert not settings.stripe_livemode


@each_of_ours
def test_every_secret_that_a_process_reads_is_mounted_into_it_and_no_other(name: str) -> None:
    read = {Path(value).name for value in environment_of(name).values() if value.startswith("/run/secrets/")}

    assert read == set(SERVICES[name].get("secrets", ()))


@pytest.mark.parametrize("name", sorted(OURS & STAYING))
def test_a_probe_asks_where_the_process_answers(name: str) -> None:
    environment = SERVICES[name]["environment"]
    port = environment.get("INGRESS_PORT") or environment["METRICS_PORT"]

    assert f"http://127.0.0.1:{port}/readyz" in SERVICES[name]["healthcheck"]["test"][-1]


@each_of_ours
def test_every_command_is_there(name: str) -> None:
    match SERVICES[name]["command"]:
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module) is not None
        case ["billing", *verb]:
            asked = subprocess.run(
                [Path(sys.executable).with_name("billing"), *verb, "--help"],
                check=False,
                capture_output=True,
                text=True,
            )
            assert asked.returncode == 0, asked.stderr
        case command:
            pytest.fail(f"neither a module nor a command of ours: {command}")


def test_every_choice_of_the_file_is_in_the_example_with_its_default() -> None:
    example = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    choices = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT))
    del choices["COMPOSE_PROJECT_NAME"]  # Compose's own.

    assert example == choices


@pytest.mark.skipif(shutil.which("go") is None, reason="compose's own reader is built with Go, which is not installed")
def test_composes_own_reader_takes_the_file() -> None:
    judged = subprocess.run(
        ["go", "run", COMPOSE_GO, "-no-interpolation", ROOT / "docker-compose.yml"],
        check=False,
        capture_output=True,
        text=True,
    )

    assert judged.returncode == 0, judged.stderr
    assert set(yaml.safe_load(judged.stdout)["services"]) == set(SERVICES)
