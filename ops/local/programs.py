"""Our own processes: which there are, and what each is told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ops.local import ports, surroundings
from ops.local.credentials import Credentials
from ops.local.folders import PROJECT

WEBHOOK_PATH: Final = "/webhooks/stripe"
CATALOG: Final = PROJECT / "deploy" / "catalog.yaml"
WORKERS_MAX: Final = 8
NOBODYS_KEY: Final = "sk_test_nobodys"
"""What a pretend Stripe takes, and Stripe refuses."""

LOCAL_ORIGINS: Final = "http://localhost:3000,http://127.0.0.1:3000"
"""Where a platform that is being built would be."""

_KAFKA: Final = (
    "KAFKA_SECURITY_PROTOCOL",
    "KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SASL_PASSWORD_FILE",
    "KAFKA_CA_FILE",
    "KAFKA_CERT_FILE",
    "KAFKA_KEY_FILE",
)


@dataclass(frozen=True, slots=True)
class Servers:
    """What processes are told of the servers."""

    kafka_bootstrap_servers: str
    database_url: str


@dataclass(frozen=True, slots=True)
class Program:
    """One process of ours: its module, its port, and what it may know."""

    name: str
    module: str
    port: int
    port_setting: str = "METRICS_PORT"
    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where its `/livez`, `/readyz` and `/metrics` are."""
        return f"http://{ports.HOST}:{self.port}"

    def environment(self, servers: Servers, credentials: Credentials) -> dict[str, str]:
        """Everything it is told.  Secrets go by its own folder: an environment is seen by others."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap_servers,
            "SECRETS_DIR": str(credentials.hand_to(self.name, self.secrets)),
            "PYTHONUNBUFFERED": "1",
            self.port_setting: str(self.port),
            **{name: value for name in _KAFKA if (value := surroundings.given(name))},
            **self.settings,
        }


Maker = Callable[[Servers, Credentials], Program]


def makers(webhook_port: int | None = None) -> dict[str, Maker]:
    """How each process that a stack may start is told what it needs, by name."""
    workers = {f"books-{ordinal}": books(ordinal) for ordinal in range(WORKERS_MAX)}
    return {
        "ingress": ingress(webhook_port),
        **workers,
        "relay": relay,
        "clock": clock,
        "stripe-requests": stripe_requests,
        "sweep": sweep,
        "platform": platform,
    }


def ingress(webhook_port: int | None) -> Maker:
    """Stripe's door."""

    def make(_: Servers, credentials: Credentials) -> Program:
        return Program(
            name="ingress",
            module="ingress.webhook",
            port=webhook_port or ports.free_port(),
            port_setting="INGRESS_PORT",
            settings={"INGRESS_HOST": ports.HOST, "EDGE_KEYS_FILE": str(credentials.edge_keys_file)},
            secrets={"stripe_webhook_secrets": credentials.webhook_secret_file.read_text(encoding="utf-8")},
        )

    return make


def books(ordinal: int) -> Maker:
    """One worker of the books.  The ordinal is its identity in the group: never two at once."""

    def make(servers: Servers, credentials: Credentials) -> Program:
        return Program(
            name=f"books-{ordinal}",
            module="streams.books",
            port=ports.free_port(),
            settings={
                "WORKER_ORDINAL": str(ordinal),
                "EDGE_KEYS_FILE": str(credentials.edge_keys_file),
                "STORE_KEYS_FILE": str(credentials.store_keys_file),
                "CATALOG_FILE": str(CATALOG),
            },
            secrets={"database_url": servers.database_url},
        )

    return make


def relay(servers: Servers, _: Credentials) -> Program:
    """What publishes the outbox."""
    return Program(
        name="relay",
        module="streams.relay",
        port=ports.free_port(),
        secrets={"database_url": servers.database_url},
    )


def clock(servers: Servers, credentials: Credentials) -> Program:
    """What looks after the facts that wait."""
    return Program(
        name="clock",
        module="streams.clock",
        port=ports.free_port(),
        settings={
            "EDGE_KEYS_FILE": str(credentials.edge_keys_file),
            "STORE_KEYS_FILE": str(credentials.store_keys_file),
            "CATALOG_FILE": str(CATALOG),
        },
        secrets={"database_url": servers.database_url},
    )


def stripe_requests(_: Servers, credentials: Credentials) -> Program:
    """What asks Stripe for what decisions asked; a pretend one, if STRIPE_API_BASE says so."""
    return Program(
        name="stripe-requests",
        module="consumers.stripe_requests",
        port=ports.free_port(),
        settings={"EDGE_KEYS_FILE": str(credentials.edge_keys_file), **_stripes_place()},
        secrets={"stripe_api_key": _stripes_key()},
    )


def sweep(servers: Servers, credentials: Credentials) -> Program:
    """What looks for events that no webhook brought."""
    return Program(
        name="sweep",
        module="consumers.sweep",
        port=ports.free_port(),
        settings={"EDGE_KEYS_FILE": str(credentials.edge_keys_file), **_stripes_place()},
        secrets={"database_url": servers.database_url, "stripe_api_key": _stripes_key()},
    )


def platform(servers: Servers, credentials: Credentials) -> Program:
    """The platform's door.  Its metrics are apart from it: it is for services, and they are for us."""
    return Program(
        name="platform",
        module="ingress.platform",
        port=ports.free_port(),
        port_setting="PLATFORM_PORT",
        settings={
            "PLATFORM_HOST": ports.HOST,
            "PLATFORM_RETURN_ORIGINS": surroundings.given("PLATFORM_RETURN_ORIGINS") or LOCAL_ORIGINS,
            "METRICS_PORT": str(ports.free_port()),
            "STORE_KEYS_FILE": str(credentials.store_keys_file),
            "CATALOG_FILE": str(CATALOG),
            **_stripes_place(),
        },
        secrets={"database_url": servers.database_url, "stripe_api_key": _stripes_key()},
    )


def _stripes_place() -> dict[str, str]:
    base = surroundings.given("STRIPE_API_BASE")
    return {"STRIPE_API_BASE": base} if base else {}


def _stripes_key() -> str:
    return surroundings.given("STRIPE_API_KEY") or NOBODYS_KEY
