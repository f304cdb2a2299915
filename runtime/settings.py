"""What each process is told, once, at its start.  Nobody else looks at the environment.

A field's name in upper case is its environment variable.  Any setting X may come as `X_FILE=path` instead, or from a
file named like the field in the folder SECRETS_DIR.  What contradicts itself, or would be unsafe, stops the process
before its first work, with one line a problem and without showing a value.
"""

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, Self, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from runtime.secret_files import SecretFiles

WEBHOOK_SECRET_PREFIX: Final = "whsec_"  # noqa: S105  # What every secret begins with is none.
WEBHOOK_SECRET_CHARS_MIN: Final = 16
LIVE_KEY_PREFIXES: Final = ("sk_live_", "rk_live_")
API_KEY_PREFIXES: Final = (*LIVE_KEY_PREFIXES, "sk_test_", "rk_test_")
STRIPE_API_BASE: Final = "https://api.stripe.com"
RETURN_ORIGIN: Final = re.compile(r"https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?")
EXIT_STATUS_BAD_SETTINGS: Final = 2

Port = Annotated[int, Field(ge=1, le=65_535)]
Host = Annotated[str, StringConstraints(min_length=1)]
Name = Annotated[str, StringConstraints(min_length=1)]
SettingsT = TypeVar("SettingsT", bound="ProcessSettings")


class Environment(StrEnum):
    """Where we are.  Only production holds real money, and only elsewhere may tests break things on purpose."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class SecurityProtocol(StrEnum):
    """Kafka's `security.protocol`."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def encrypted(self) -> bool:
        """Whether the connection is TLS."""
        return self in {SecurityProtocol.SSL, SecurityProtocol.SASL_SSL}

    @property
    def authenticated(self) -> bool:
        """Whether the client gives a name and a password."""
        return self in {SecurityProtocol.SASL_PLAINTEXT, SecurityProtocol.SASL_SSL}


class SaslMechanism(StrEnum):
    """Kafka's `sasl.mechanism`, as far as a name and a password go."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


class ProcessSettings(BaseSettings):
    """What every process is told."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_ignore_empty=False,  # An empty secret is a mistake to be told of, not a default to fall back on.
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    billing_environment: Environment = Environment.DEVELOPMENT
    """Decides what is refused: live keys outside production, failpoints inside."""

    failpoints_dir: Path | None = None
    """Where tests arm `runtime.failpoints`.  Never in production."""

    stripe_api_key: SecretStr | None = None
    """Used by those who ask Stripe, checked by all: a live key outside production is always a mistake."""

    stripe_livemode: bool = False
    """Whether this environment is Stripe's live mode or a sandbox.  The two never mix."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then files.  No `.env` is read behind anybody's back."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, SecretFiles(settings_cls)

    @property
    def in_production(self) -> bool:
        """Whether real money is at stake."""
        return self.billing_environment is Environment.PRODUCTION

    @model_validator(mode="after")
    def _environment_is_kept_apart(self) -> Self:
        key = self.stripe_api_key.get_secret_value() if self.stripe_api_key else ""
        if key.startswith(LIVE_KEY_PREFIXES) and not self.in_production:
            raise ValueError("STRIPE_API_KEY is a live key and BILLING_ENVIRONMENT is not production")
        if self.stripe_livemode and not self.in_production:
            raise ValueError("STRIPE_LIVEMODE is true and BILLING_ENVIRONMENT is not production")
        if key and key.startswith(LIVE_KEY_PREFIXES) is not self.stripe_livemode:
            raise ValueError("STRIPE_API_KEY and STRIPE_LIVEMODE are of different modes")
        if self.failpoints_dir is not None and self.in_production:
            raise ValueError("FAILPOINTS_DIR is set and BILLING_ENVIRONMENT is production")
        return self


class KafkaSettings(ProcessSettings):
    """How to reach Kafka."""

    kafka_bootstrap_servers: Annotated[str, StringConstraints(pattern=r"^[^\s,:]+:\d+(,[^\s,:]+:\d+)*$")]
    """`host:port`, comma separated; two or three of a cluster's brokers are enough."""

    kafka_security_protocol: SecurityProtocol = SecurityProtocol.PLAINTEXT
    """PLAINTEXT is for one machine: whoever reaches the brokers may then write facts."""

    kafka_sasl_mechanism: SaslMechanism | None = None
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None

    kafka_ca_file: Path | None = None
    """Who signed the brokers' certificates; without it, whoever the system trusts."""

    kafka_cert_file: Path | None = None
    kafka_key_file: Path | None = None

    @model_validator(mode="after")
    def _kafka_does_not_contradict_itself(self) -> Self:
        for problem in self._kafka_problems():
            raise ValueError(problem)
        return self

    def _kafka_problems(self) -> list[str]:
        protocol = self.kafka_security_protocol
        sasl = (self.kafka_sasl_mechanism, self.kafka_sasl_username, self.kafka_sasl_password)
        tls = (self.kafka_ca_file, self.kafka_cert_file, self.kafka_key_file)
        wrong = {
            "needs KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD": protocol.authenticated
            and None in sasl,
            "does not use the KAFKA_SASL_* settings that are given": not protocol.authenticated and any(sasl),
            "does not use the KAFKA_*_FILE settings that are given": not protocol.encrypted and any(tls),
            "would send the password of PLAIN in the clear": self.in_production
            and protocol is SecurityProtocol.SASL_PLAINTEXT
            and self.kafka_sasl_mechanism is SaslMechanism.PLAIN,
            "needs KAFKA_CERT_FILE and KAFKA_KEY_FILE together or not at all": (self.kafka_cert_file is None)
            is not (self.kafka_key_file is None),
        }
        return [f"KAFKA_SECURITY_PROTOCOL={protocol} {problem}" for problem, holds in wrong.items() if holds]


class StripeSettings(ProcessSettings):
    """How to ask Stripe.  Stands first among the bases of its children: the others' key may be missing."""

    stripe_api_key: SecretStr
    """A restricted key that may do what is asked of it and no more is better than a secret one."""

    stripe_api_base: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/@]+$")] = STRIPE_API_BASE
    """Where Stripe is; a pretend one in tests.  A live key is sent to no other place than Stripe's own."""

    stripe_requests_per_second: Annotated[float, Field(gt=0, le=100)] = 20.0
    """What this process may ask.  Stripe counts all of an account's processes together: 100 live, 25 in a sandbox."""

    stripe_try_seconds_max: Annotated[float, Field(gt=0, le=80)] = 10.0
    """How long one request may take: shorter asks again sooner, longer leaves less unknown."""

    @model_validator(mode="after")
    def _key_goes_to_stripe_alone(self) -> Self:
        key = self.stripe_api_key.get_secret_value()
        if not key.startswith(API_KEY_PREFIXES) or not key.isascii() or not key.isprintable():
            raise ValueError(f"STRIPE_API_KEY must begin with one of {', '.join(API_KEY_PREFIXES)}")
        if key.startswith(LIVE_KEY_PREFIXES) and self.stripe_api_base != STRIPE_API_BASE:
            raise ValueError(f"STRIPE_API_BASE must be {STRIPE_API_BASE} with a live key")
        return self


class DatabaseSettings(ProcessSettings):
    """How to reach PostgreSQL, in the role that the process needs."""

    database_url: SecretStr

    @field_validator("database_url")
    @classmethod
    def _is_a_postgresql_url(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        return url


class EdgeKeysSettings(ProcessSettings):
    """The keys that seal raw bodies in the topic: rotated daily, by an operator, and kept as long as the topic."""

    edge_keys_file: Path


class StoreKeysSettings(ProcessSettings):
    """The keys that seal what the database keeps of raw bodies."""

    store_keys_file: Path


class MetricsSettings(ProcessSettings):
    """Where `/livez`, `/readyz` and `/metrics` are served."""

    metrics_host: Host = "127.0.0.1"
    """Loopback, unless a scraper comes from elsewhere: metrics tell an attacker when we are weak."""

    metrics_port: Port = 9464
    """One a process: two processes on one machine need two."""


class TraceSettings(ProcessSettings):
    """Where traces go.  OpenTelemetry's other variables, such as OTEL_EXPORTER_OTLP_HEADERS, are its own to read."""

    otel_exporter_otlp_endpoint: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+\S*$")] | None = None
    """A collector that takes OTLP over HTTP, such as http://127.0.0.1:4318.  Without it there is no trace at all."""

    trace_sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """The share of requests that have a trace: more shows rarer things, and each costs every process some spans.

    The door draws, and the others go on with what it drew: a trace is whole, or is not.
    """


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _webhook_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    body = text.removeprefix(WEBHOOK_SECRET_PREFIX)
    plain = body.isascii() and body.isprintable() and " " not in body
    if body == text or len(body) < WEBHOOK_SECRET_CHARS_MIN or not plain:
        raise ValueError(f"each must be {WEBHOOK_SECRET_PREFIX} and {WEBHOOK_SECRET_CHARS_MIN} or more characters")
    return secret


class DoorSettings(ProcessSettings):
    """What bounds a door to which anybody may come."""

    headers_seconds_max: Annotated[float, Field(gt=0, le=60)] = 10.0
    """How long a connection may take to bring a request's headers: short drops the honest, long feeds the hostile."""

    body_seconds_max: Annotated[float, Field(gt=0, le=60)] = 10.0
    """The same for the body, from its first byte to its last."""

    answer_seconds_max: Annotated[float, Field(gt=0, le=60)] = 10.0
    """How long a reader may take to take our answer."""

    connections_max: Annotated[int, Field(ge=1, le=65_536)] = 2_000
    """Connections at once; the next is closed unheard.  Each may hold one body, so memory is bounded by the product."""

    bodies_bytes_max: Annotated[int, Field(ge=1_048_576)] = 67_108_864
    """What all bodies in hand may take together; beyond it 503.  Bounds memory where connections alone would not."""

    retry_after_seconds: Annotated[int, Field(ge=1, le=3_600)] = 5
    """What a 503 asks the sender to wait.  Stripe keeps its own schedule; others may listen."""

    stop_seconds_max: Annotated[float, Field(gt=0, le=60)] = 8.0
    """How long SIGTERM waits for requests in flight; below the usual grace period of orchestrators (10 s or more)."""


class IngressSettings(KafkaSettings, EdgeKeysSettings, TraceSettings, DoorSettings):
    """What Stripe's door may know.  Not the database: it has none."""

    stripe_webhook_secrets: Annotated[
        tuple[SecretStr, ...],
        NoDecode,
        BeforeValidator(_split),
        Field(min_length=1, max_length=8),
    ]
    """Comma separated; two while a secret is being rotated.  More cost an HMAC each, for every forged request too."""

    ingress_host: Host = "127.0.0.1"
    ingress_port: Port = 8080

    metrics_host: Host = "127.0.0.1"
    metrics_port: Port | None = None
    """Without it, `/metrics` is on the door itself if that listens on loopback, and nowhere if it is public."""

    body_bytes_max: Annotated[int, Field(ge=262_144, le=786_432)] = 524_288
    """Stripe's largest events are about half of it.  Sealed and with headers it must stay below the topic's 1 MiB."""

    signature_age_seconds_max: Annotated[int, Field(ge=1, le=3_600)] = 300
    """How old, or how far ahead, a signature may be: longer forgives clocks, and lets captured requests be replayed."""

    produce_seconds_max: Annotated[float, Field(gt=0, le=10)] = 2.0
    """How long Stripe waits for the broker before it hears 503: longer rides out elections, and holds connections."""

    @field_validator("stripe_webhook_secrets")
    @classmethod
    def _webhook_secrets_are_whole(cls, given: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        return tuple(_webhook_secret(secret) for secret in given)


class BooksSettings(
    KafkaSettings, DatabaseSettings, EdgeKeysSettings, StoreKeysSettings, MetricsSettings, TraceSettings
):
    """What a worker of the books may know."""

    catalog_file: Path = Path("deploy/catalog.yaml")

    kafka_group: Name = "billing.books"
    """The consumer group: part of the position's key, so renaming it begins anew."""

    worker_ordinal: Annotated[int, Field(ge=0, le=999)] = 0
    """Makes the static member id.  Two living processes with one ordinal fight for ever: the supervisor owns it."""

    batch_records_max: Annotated[int, Field(ge=1, le=5_000)] = 500
    """Facts in one transaction: more is quicker under load, and holds rows longer."""

    batch_fill_seconds_max: Annotated[float, Field(ge=0, le=1)] = 0.04
    """How long a batch may wait to fill while facts come fast: longer is cheaper a fact, and later by as much.  A lone
    fact never waits.  0 takes whatever is there."""

    retry_count_max: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Tries of one batch while the world is away, before the process ends with its offset unmoved."""

    retry_pause_seconds_max: Annotated[float, Field(gt=0, le=5)] = 0.5
    """The longest pause between two tries: shorter comes back sooner after an outage, and knocks more during it."""

    retry_seconds_max: Annotated[float, Field(gt=0, le=300)] = 10.0
    """The same limit in time; below the rebalance timeout, so that a retrying worker never holds up a rebalance."""

    parked_ratio_max: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Above this share of root facts parked, it is we who are broken, and the worker stops."""

    parked_roots_max: Annotated[int, Field(ge=1)] = 20
    """So many root facts may be parked whatever the share: a few bad ones in a quiet hour stop nobody."""

    parked_window: Annotated[int, Field(ge=20)] = 1_000
    """The facts that the share is taken of: longer is calmer, shorter sees a bad deployment sooner."""

    session_timeout_seconds: Annotated[float, Field(ge=1, le=60)] = 6.0
    """How long a dead worker keeps its partitions: shorter takes over sooner, and mistakes a pause for a death."""

    heartbeat_seconds: Annotated[float, Field(gt=0, le=20)] = 1.0
    """A third of the session or less, so that two lost heartbeats are no death."""

    rebalance_timeout_seconds: Annotated[float, Field(ge=1, le=600)] = 30.0
    """How long a rebalance waits for a worker to finish its batch."""

    watchdog_seconds: Annotated[float, Field(ge=1, le=600)] = 15.0
    """With lag and without progress for so long, the process ends: longer than every honest wait."""

    @property
    def kafka_member_id(self) -> str:
        """The static member id: a worker that comes back under it gets its partitions back at once."""
        return f"{self.kafka_group}-{self.worker_ordinal}"

    @model_validator(mode="after")
    def _waits_nest(self) -> Self:
        if self.retry_seconds_max >= self.rebalance_timeout_seconds:
            raise ValueError("RETRY_SECONDS_MAX must be below REBALANCE_TIMEOUT_SECONDS")
        if self.retry_seconds_max >= self.watchdog_seconds:
            raise ValueError("RETRY_SECONDS_MAX must be below WATCHDOG_SECONDS")
        if self.heartbeat_seconds * 3 > self.session_timeout_seconds:
            raise ValueError("HEARTBEAT_SECONDS must be at most a third of SESSION_TIMEOUT_SECONDS")
        return self


class RelaySettings(KafkaSettings, DatabaseSettings, MetricsSettings, TraceSettings):
    """What the relay may know: no keys, because what it sends is in the clear already."""

    poll_seconds: Annotated[float, Field(gt=0, le=5)] = 0.05
    """The pause between two looks at the outbox: an event is said half of it later, and a look wakes two processes."""

    batch_max: Annotated[int, Field(ge=1, le=5_000)] = 500
    """Events claimed at once: more is quicker, and repeats more after a crash."""


class ClockSettings(DatabaseSettings, EdgeKeysSettings, StoreKeysSettings, MetricsSettings):
    """What the clock may know: it acts on the books as a worker does, and reads no topic."""

    catalog_file: Path = Path("deploy/catalog.yaml")

    tick_seconds: Annotated[float, Field(gt=0, le=60)] = 1.0
    """How often to look: what is due may be late by so much."""

    ask_after_seconds: Annotated[float, Field(ge=1, le=3_600)] = 30.0
    """How long a fact waits for its owner before Stripe is asked: shorter asks about what would have come by itself."""


class StripeRequestsSettings(StripeSettings, KafkaSettings, EdgeKeysSettings, MetricsSettings):
    """What may be known by who asks Stripe for what decisions asked.  Not the database: an answer is a fact."""

    kafka_group: Name = "billing.stripe-requests"
    """The consumer group.  Under another name everything in the topic would be asked again, under the same keys."""

    batch_records_max: Annotated[int, Field(ge=1, le=1_000)] = 200
    """Requests in hand at once: more finds more that ask about one object, and repeats more after a crash."""

    ask_seconds_max: Annotated[float, Field(gt=0, le=120)] = 30.0
    """How long one request may take with all its tries, before it waits for the next round."""

    settle_seconds: Annotated[float, Field(ge=0, le=60)] = 2.0
    """How long after it was asked for an object is looked at: long enough for its last change to be in a second of its
    own, by Stripe's clock; longer finds more that ask for the same."""

    round_pause_seconds_max: Annotated[float, Field(gt=0, le=60)] = 10.0
    """The longest pause between two rounds while Stripe or Kafka are away."""


class BackfillSettings(StripeSettings, DatabaseSettings, KafkaSettings, EdgeKeysSettings):
    """What may be known by who compares Stripe's lists with what we have, and tells what is missing."""


class ReconcileSettings(BackfillSettings):
    """The same, for who compares object by object: what an object means depends on the catalog."""

    catalog_file: Path = Path("deploy/catalog.yaml")


class SweepSettings(BackfillSettings, MetricsSettings):
    """The same, for the process that does it by itself."""

    sweep_seconds: Annotated[float, Field(gt=0, le=3_600)] = 60.0
    """How often it looks: more often finds sooner, and asks Stripe more."""

    sweep_overlap_seconds: Annotated[int, Field(ge=0, le=29 * 86_400)] = 3_600
    """How much of what was looked at is looked at again: an event may be listed later than its second."""

    sweep_settle_seconds: Annotated[int, Field(ge=0, le=86_400)] = 120
    """Younger events are left to their webhooks."""


class PlatformSettings(StripeSettings, DatabaseSettings, StoreKeysSettings, MetricsSettings, DoorSettings):
    """What the platform's door may know.  Not Kafka: what comes of its requests the webhooks tell."""

    catalog_file: Path = Path("deploy/catalog.yaml")

    platform_host: Host = "127.0.0.1"
    platform_port: Port = 8081

    platform_return_origins: Annotated[
        tuple[str, ...],
        NoDecode,
        BeforeValidator(_split),
        Field(min_length=1, max_length=32),
    ]
    """Where Checkout and the Portal may send people back to, comma separated: https://app.example.com, say.

    Anywhere else is refused: a link of ours that leads to a stranger's page is a gift to who fishes for passwords.
    """

    platform_seconds_max: Annotated[float, Field(gt=0, le=4)] = 3.5
    """What a request may take from its body on, with all that is asked of Stripe: short enough for 5 s in all."""

    stripe_callers_max: Annotated[int, Field(ge=1, le=1_000)] | None = None
    """Requests that ask Stripe at once; others wait for a place.  Left out, as many as STRIPE_REQUESTS_PER_SECOND: with
    many more each begins and none ends, with many fewer what may be asked is not asked."""

    key_requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 600
    """What each API key may ask of this process; several processes allow as many times that."""

    body_bytes_max: Annotated[int, Field(ge=1_024, le=1_048_576)] = 65_536
    """Far above what any request needs."""

    database_connections_max: Annotated[int, Field(ge=1, le=100)] = 8
    """Connections to PostgreSQL at once; who comes next waits for a turn, within the time of its request."""

    @property
    def callers_max(self) -> int:
        """How many may ask Stripe at once."""
        return self.stripe_callers_max or max(1, round(self.stripe_requests_per_second))

    @field_validator("platform_return_origins")
    @classmethod
    def _origins_are_whole(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if not all(RETURN_ORIGIN.fullmatch(origin) for origin in given):
            raise ValueError("each must be an origin such as https://app.example.com: lower case, no path")
        return given

    @model_validator(mode="after")
    def _people_come_back_safely(self) -> Self:
        if self.in_production and not all(origin.startswith("https://") for origin in self.platform_return_origins):
            raise ValueError("PLATFORM_RETURN_ORIGINS must be https in production")
        return self


class StripeCatalogSettings(StripeSettings):
    """What may be known by who puts the catalog into Stripe."""

    catalog_file: Path = Path("deploy/catalog.yaml")


def load(cls: type[SettingsT], **known: Any) -> SettingsT:
    """The settings of this process, or its end: exit status 2 and one line a problem, none of them showing a value.

    What is *known* already need not be in the environment, and counts before it.
    """
    try:
        return cls(**known)
    except ValidationError as error:
        _give_up([_say(".".join(map(str, at["loc"])), at["msg"]) for at in error.errors(include_input=False)])
    except (OSError, ValueError) as error:  # A secret's file that is not there, or is there twice.
        _give_up([str(error)])


def _say(field: str, message: str) -> str:
    what = message.removeprefix("Value error, ")
    return f"{field.upper()}: {what}" if field else what


def _give_up(problems: list[str]) -> NoReturn:
    sys.stderr.writelines(f"settings: {problem}\n" for problem in problems)
    raise SystemExit(EXIT_STATUS_BAD_SETTINGS)
