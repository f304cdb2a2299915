"""How every Kafka client of ours reaches its brokers: addresses, TLS and SASL, from settings to aiokafka's words."""

import ssl
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final
from zlib import crc32

from aiokafka.partitioner import murmur2

from runtime.settings import KafkaSettings

KEYS_KEPT: Final = 10_000
"""An account that has one event has others soon."""


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments for any aiokafka client (producer, consumer, admin)."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol.value,
    }
    if settings.kafka_security_protocol.encrypted:
        options["ssl_context"] = _tls(settings)
    if settings.kafka_sasl_mechanism is not None:
        assert settings.kafka_sasl_password is not None, "settings refuse a mechanism without a password"
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism.value
        options["sasl_plain_username"] = settings.kafka_sasl_username
        options["sasl_plain_password"] = settings.kafka_sasl_password.get_secret_value()
    return options


def partition_of_fact(key: bytes, every: Sequence[int], available: Sequence[int]) -> int:
    """Where a fact's key belongs, as librdkafka's `consistent` partitioner says it: CRC-32.

    Java's murmur2 is Python here and takes as long as sealing a body.  All who produce facts use this one, and no order
    rests on it.  (https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md, `partitioner`)
    """
    del available  # A partition without a leader now is still the key's own.
    return every[crc32(key) % len(every)]


def partition_of_event(key: bytes, every: Sequence[int], available: Sequence[int]) -> int:
    """Where an event's key belongs, as Java's own default partitioner says it, and so everybody else's: murmur2.

    (https://kafka.apache.org/documentation/#producerconfigs_partitioner.class)
    """
    del available  # A partition without a leader now is still the key's own.
    return every[_murmur2(key) % len(every)]


@lru_cache(maxsize=KEYS_KEPT)
def _murmur2(key: bytes) -> int:
    return int(murmur2(key)) & 0x7FFF_FFFF


def _tls(settings: KafkaSettings) -> ssl.SSLContext:
    """Names and certificates are always checked; there is no setting that turns it off."""
    context = ssl.create_default_context(cafile=settings.kafka_ca_file)
    if settings.kafka_cert_file is not None:
        context.load_cert_chain(settings.kafka_cert_file, settings.kafka_key_file)
    return context
