"""What a test measured, told at the end of the run whether or not it passed."""

from collections.abc import Callable

Figure = Callable[[str], None]
"""Says one line under the name of the test, at the end of the run."""

FIGURE = "figure"
"""The user property under which a report carries such a line."""
