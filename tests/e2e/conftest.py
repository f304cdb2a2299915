"""One pipeline for all tests that leave it whole, and the figures that end-to-end tests measured."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support_figures import FIGURE, Figure
from tests.support_pipeline import Pipeline, running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pipeline(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pipeline]:
    """A whole stack; every test checks at its end that everything since the beginning is as it should be.

    So many tests bring poison on purpose that a worker would be right to think that it is broken itself.
    """
    settings = {"PARKED_RATIO_MAX": "0.9"}
    async with running(tmp_path_factory.mktemp("pipeline") / "home", settings=settings) as pipeline:
        yield pipeline


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Says a line at the end of the run."""

    def say(line: str) -> None:
        request.node.user_properties.append((FIGURE, line))

    return say
