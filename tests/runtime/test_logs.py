import json
import logging
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest

from runtime import tracebacks
from runtime.logs import NOISY_LINES_MAX, NOISY_WINDOW_SECONDS, RateLimit, mask


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("refused whsec_hunter22hunter", "hunter22"),
        ("key sk_live_hunter22", "hunter22"),
        ("key sk_test_hunter22", "hunter22"),
        ("key rk_live_hunter22", "hunter22"),
        ("pi_123_secret_hunter22", "hunter22"),
        ("postgresql://billing:hunter22@db/billing is away", "hunter22"),
        ('{"url": "redis://:hunter22@h", "mail": "a@b"}', "hunter22"),
    ],
)
def test_what_looks_like_a_secret_is_masked(line: str, secret: str) -> None:
    assert secret not in mask(line)
    assert "***" in mask(line)


@pytest.mark.parametrize("line", ['{"url": "http://h:80/x", "mail": "a@b"}', "evt_123 of cus_456", "127.0.0.1:9092"])
def test_what_is_no_secret_stays(line: str) -> None:
    assert mask(line) == line


def _stderr(program: str) -> str:
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    return ended.stderr


def _logged(program: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in _stderr(program).splitlines()]


def test_each_line_is_json_and_names_its_process_whoever_wrote_it() -> None:
    ours, theirs = _logged("""
        import logging
        from runtime import logs
        logs.configure("books")
        logs.get_logger("store.apply").info("committed", facts=3)
        logging.getLogger("some.library").warning("%s is odd", "this")
    """)

    assert {"event": "committed", "facts": 3, "process": "books", "level": "info"}.items() <= ours.items()
    assert {"event": "this is odd", "process": "books", "logger": "some.library"}.items() <= theirs.items()


BROKEN = """
    import sys
    import psycopg
    from pydantic import BaseModel
    from runtime import logs

    sys.stderr.isatty = lambda: {pretty}
    logs.configure("books")

    class Row(BaseModel):
        amount: int

    def not_a_number(body):
        Row(amount=body)

    def refused_by_postgres(body):
        raise psycopg.errors.CheckViolation(f"DETAIL:  Failing row contains ({{body}}).")

    def missing(body):
        try:
            {{}}[body]
        except KeyError as error:
            raise RuntimeError(f"no {{body}}") from error

    def several(body):
        raise ExceptionGroup(body, [ValueError(body)])

    for what in (not_a_number, refused_by_postgres, missing, several):
        try:
            what("the whole " + "body")
        except Exception:
            logs.get_logger("x").exception("broken")
"""


@pytest.mark.parametrize("pretty", [False, True], ids=["json", "terminal"])
def test_a_traceback_shows_no_local_variable_and_none_of_the_exceptions_own_words(*, pretty: bool) -> None:
    told = _stderr(BROKEN.format(pretty=pretty))

    assert "the whole body" not in told
    for kind in ("amount int_parsing", "CheckViolation", "KeyError", "RuntimeError", "ExceptionGroup", "ValueError"):
        assert kind in told
    assert all(f"in {where}" in told for where in ("not_a_number", "refused_by_postgres", "missing", "several"))


def test_of_an_error_of_postgresql_its_state_and_its_first_line_are_told() -> None:
    class OfPostgres(Exception):
        sqlstate = "23514"
        diag = SimpleNamespace(message_primary="violates a check", message_detail="Failing row contains (body)")

    error = OfPostgres("violates a check DETAIL: Failing row contains (body)")

    assert tracebacks.render((OfPostgres, error, None)).endswith("OfPostgres: 23514 violates a check\n")


def test_an_outage_writes_a_few_lines_and_then_how_many_were_held_back() -> None:
    time = [0.0]
    limit = RateLimit(("aiokafka",), lambda: time[0])

    passed = [limit.filter(_record("aiokafka.conn")) for _ in range(1_000)]
    time[0] = NOISY_WINDOW_SECONDS
    later = _record("aiokafka.conn")

    assert sum(passed) == NOISY_LINES_MAX
    assert limit.filter(later)
    assert later.__dict__["held_back"] == 1_000 - NOISY_LINES_MAX


def test_our_own_lines_are_never_held_back() -> None:
    limit = RateLimit(("aiokafka",), lambda: 0.0)

    assert all(limit.filter(_record("store.apply")) for _ in range(100))


def test_lines_that_are_all_different_do_not_fill_memory() -> None:
    limit = RateLimit(("aiokafka",), lambda: 0.0)
    for number in range(10_000):
        limit.filter(_record("aiokafka.conn", f"message {number}"))

    assert len(limit._seen) <= 1_000


def _record(name: str, message: str = "the broker is away") -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, __file__, 1, message, None, None)
