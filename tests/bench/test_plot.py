from pathlib import Path

import pytest
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench import plot
from bench.results import Results
from tests.support_bench import all_parts


@pytest.fixture
def axes() -> Axes:
    return Figure().subplots()


def test_a_picture_of_all_results_is_drawn(tmp_path: Path) -> None:
    plot.draw(all_parts(), tmp_path / "results.png")

    height, width, _ = image.imread(tmp_path / "results.png").shape
    assert (width, height) == (1560, 1105)


@pytest.mark.parametrize("panel", plot.PANELS)
def test_a_panel_without_measurements_says_so(panel: plot.Draw, axes: Axes) -> None:
    panel(axes, Results())

    assert [text.get_text() for text in axes.texts] == ["not measured"]


@pytest.mark.parametrize("panel", plot.PANELS)
def test_a_panel_with_measurements_draws_them(panel: plot.Draw, axes: Axes) -> None:
    panel(axes, all_parts())

    assert axes.lines or axes.patches
    assert "not measured" not in [text.get_text() for text in axes.texts]


def test_ours_is_drawn_in_one_colour_and_bare_in_another(axes: Axes) -> None:
    plot.PANELS[0](axes, all_parts())
    colours = {bar.get_facecolor() for bar in axes.patches}

    assert len(colours) == 2


def test_a_quick_run_can_not_be_mistaken_for_a_measurement() -> None:
    assert plot.heading(all_parts(quick=True)).startswith("QUICK RUN")
    assert "QUICK" not in plot.heading(all_parts())
