import ssl
from pathlib import Path

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from runtime.kafka import client_options, partition_of_event
from runtime.settings import KafkaSettings, SaslMechanism, SecurityProtocol

SERVERS = "127.0.0.1:9092"


def test_a_plain_connection_has_neither_tls_nor_a_password() -> None:
    options = client_options(KafkaSettings(kafka_bootstrap_servers=SERVERS))

    assert options == {"bootstrap_servers": SERVERS, "security_protocol": "PLAINTEXT"}


def test_a_secured_connection_checks_the_brokers_name_and_gives_a_password() -> None:
    settings = KafkaSettings(
        kafka_bootstrap_servers=SERVERS,
        kafka_security_protocol=SecurityProtocol.SASL_SSL,
        kafka_sasl_mechanism=SaslMechanism.SCRAM_SHA_512,
        kafka_sasl_username="billing",
        kafka_sasl_password=SecretStr("hunter22"),
    )

    options = client_options(settings)

    assert options["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert options["ssl_context"].check_hostname
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["sasl_plain_username"] == "billing"
    assert options["sasl_plain_password"] == "hunter22"


def test_an_authority_of_our_own_replaces_those_of_the_system(tmp_path: Path) -> None:
    settings = KafkaSettings(
        kafka_bootstrap_servers=SERVERS,
        kafka_security_protocol=SecurityProtocol.SSL,
        kafka_ca_file=_certificate(tmp_path),
    )

    assert len(client_options(settings)["ssl_context"].get_ca_certs()) == 1


@given(st.binary(), st.integers(1, 64), st.booleans())
def test_an_events_key_belongs_where_every_producer_puts_it(key: bytes, partitions: int, headless: bool) -> None:
    """Accounts that began on one partition go on there, whichever release or language writes."""
    every = list(range(partitions))
    available = every[1:] if headless else every

    for _ in range(2):  # As it is reckoned, and as it is kept.
        assert partition_of_event(key, every, available) == DefaultPartitioner()(key, every, available)


def _certificate(folder: Path) -> Path:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "ca.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path
