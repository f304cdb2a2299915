import json
import logging
import subprocess
import sys
import textwrap

import pytest

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


def _logged(program: str) -> list[dict[str, object]]:
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in ended.stderr.splitlines()]


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


def test_a_traceback_shows_no_local_variable() -> None:
    (line,) = _logged("""
        from runtime import logs
        logs.configure("books")
        body = "the whole " + "body"
        try:
            len(body) / 0
        except ZeroDivisionError:
            logs.get_logger("x").exception("broken")
    """)

    assert "ZeroDivisionError" in str(line["exception"])
    assert "the whole body" not in json.dumps(line)


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
