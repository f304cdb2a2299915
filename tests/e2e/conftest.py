"""Figures: what end-to-end tests measured stands at the end of the run."""

import pytest
from _pytest.terminal import TerminalReporter

from tests.support_figures import FIGURE, Figure


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
