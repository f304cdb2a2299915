"""What the bare processes are told."""

from pydantic import SecretStr

from runtime.settings import DatabaseSettings, KafkaSettings, MetricsSettings, Name, Port


class BareIngressSettings(KafkaSettings):
    """What the bare door may know."""

    webhook_secret: SecretStr
    ingress_port: Port
    topic: Name

    construct_event: bool = False
    """Whether the library checks the signature, and makes its event, in place of the HMAC alone."""


class BareBooksSettings(KafkaSettings, DatabaseSettings, MetricsSettings):
    """What the bare consumer may know."""

    topic: Name
    said_topic: Name
    group: Name
    batch_records_max: int = 500
