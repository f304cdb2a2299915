"""Trouble that is to be expected, told in one sentence.  A traceback is for our own mistakes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from aiokafka.errors import KafkaError

from consumers.facts import Untold
from ops import console
from ops.local.errors import CannotStart
from runtime.stripe_errors import StripeTrouble
from store.catalog import BadCatalog
from store.explain import explain


@contextmanager
def plainly(exit_status: int = 1) -> Iterator[None]:
    """End with *exit_status* and a sentence when the world is not as the command needs it."""
    with _quiet("aiokafka"):
        try:
            yield
        except Exception as error:
            sentence = _sentence(error)
            if sentence is None:
                raise
            console.problem(sentence)
            raise typer.Exit(exit_status) from None


def _sentence(error: Exception) -> str | None:
    from store.migrate import BadUrl, RolesMissing  # Late: it brings Alembic along, and `billing --help` is in a hurry.

    if isinstance(error, (CannotStart, RolesMissing, BadUrl, BadCatalog)):
        return str(error)
    if isinstance(error, StripeTrouble):
        at = f" ({error.param})" if error.param else ""
        request = f", request {error.request_id}" if error.request_id else ""
        return f"Stripe would not: {error.reason}{at}{request}."
    if isinstance(error, Untold):
        return f"Kafka did not take it ({error}); nothing is lost: give the same command again."
    if isinstance(error, KafkaError):
        return f"Kafka did not answer as it should: {type(error).__name__}."
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    return explain(error)


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """A library that both raises and logs would say the same trouble twice."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)
