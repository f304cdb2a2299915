"""One pipeline for all tests that leave it whole, and the figures that end-to-end tests measured."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from _pytest.terminal import TerminalReporter

from tests.support_figures import FIGURE, Figure
from tests.support_pipeline import Pipeline, running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pipeline(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pipeline]:
    """A whole stack; every test checks at its end that everything since the beginning is as it should be."""
    async with running(tmp_path_factory.mktemp("pipeline") / "home") as pipeline:
        yield pipeline


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Says a line at the end of the run."""

    def say(line: str) -> None:
        request.node.user_properties.append((FIGURE, line))

    return say


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    told = [(report.nodeid, line) for report in reports for name, line in report.user_properties if name == FIGURE]
    if told:
        terminalreporter.section("figures")
    for test in dict.fromkeys(test for test, _ in told):
        terminalreporter.write_line(test.rpartition("::")[2])
        for line in dict.fromkeys(line for told_by, line in told if told_by == test):
            terminalreporter.write_line(f"    {line}")
