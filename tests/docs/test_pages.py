import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
DECISIONS: Final = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
PAGES: Final = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LINES_MAX: Final = 60

each_decision = pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_decision
def test_a_decision_is_one_page_of_context_decision_and_consequences(page: Path) -> None:
    text = page.read_text()

    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert text.startswith(f"# {page.name[:4]}. ")
    assert len(text.splitlines()) <= LINES_MAX


def test_decisions_are_numbered_without_a_gap_and_all_in_the_index() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text()
    listed = re.findall(r"\| \[(\d{4})\]\((.+)\) \| (.+) \|", index)

    assert [number for number, _, _ in listed] == [f"{at:04}" for at in range(1, len(DECISIONS) + 1)]
    assert [name for _, name, _ in listed] == [page.name for page in DECISIONS]


@each_page
def test_a_link_inside_the_tree_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    inside = [link for link in links if "://" not in link]

    assert [link for link in inside if not (page.parent / link).exists()] == []


@each_page
def test_a_file_that_is_named_is_there(page: Path) -> None:
    named = re.findall(r"`((?:[\w.-]+/)+[\w.-]*\.(?:py|md|sql|sh|toml|txt|yaml|yml))`", page.read_text())

    assert [path for path in named if not (ROOT / path).exists()] == []


@each_page
def test_a_target_of_make_that_is_named_is_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)`", page.read_text()))

    assert named - targets == set()


def test_no_committed_file_names_a_registry_or_a_place_on_somebodys_machine() -> None:
    # Written in two parts, so that this file does not find itself.
    places = ["pypi." + "org", "pythonhosted." + "org", "repo1." + "maven", "/ro" + "ot/", "/wo" + "rk/"]
    patterns = [word for place in places for word in ("-e", place)]

    found = subprocess.run(
        ["git", "grep", "-IlF", *patterns, "--", "."], cwd=ROOT, check=False, capture_output=True, text=True
    )

    assert found.stdout.split() == []
