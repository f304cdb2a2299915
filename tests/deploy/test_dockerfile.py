import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCKERFILE: Final = ROOT / "deploy/Dockerfile"
LINES: Final = [
    line
    for line in DOCKERFILE.read_text().replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]
FINAL_STAGE: Final = LINES[max(at for at, line in enumerate(LINES) if line.startswith("FROM ")) :]
ALLOWED: Final = {
    line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
}


def copied() -> set[str]:
    """What the Dockerfile takes from the tree."""
    copies = [line.split()[1:-1] for line in LINES if line.startswith("COPY ") and "--from=" not in line]
    return {source for sources in copies for source in sources}


def test_hadolint_has_nothing_to_say() -> None:
    linter = Path(sys.executable).with_name("hadolint")

    judged = subprocess.run(
        [linter, "--failure-threshold=style", DOCKERFILE], check=False, capture_output=True, text=True
    )

    assert (judged.returncode, judged.stdout) == (0, "")


def test_both_stages_stand_on_one_pinned_python() -> None:
    bases = [line.split()[1] for line in LINES if line.startswith("FROM ")]

    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", bases[0])


def test_nothing_is_installed_that_was_not_reviewed() -> None:
    installs = [line for line in LINES if re.search(r"pip .*install", line) and "uninstall" not in line]

    assert len(installs) == 3
    for line in installs:
        locked = "--require-hashes" in line and "--only-binary=:all:" in line
        ours = "--no-deps" in line and "--no-index" in line
        assert locked or ours, line


def test_nothing_is_compiled_and_no_tool_to_install_with_is_left() -> None:
    assert not [line for line in LINES if "apt" in line or "gcc" in line]
    assert [line for line in FINAL_STAGE if "pip uninstall" in line]


def test_the_image_runs_as_a_user_with_a_fixed_number() -> None:
    users = [line for line in FINAL_STAGE if line.startswith("USER ")]

    assert users == ["USER 10001:10001"]
    assert FINAL_STAGE.index(users[0]) == len(FINAL_STAGE) - 2, "nothing but the command comes after it"


def test_asserts_are_never_optimised_away() -> None:
    told = "\n".join([*LINES, *(ROOT / "docker-compose.yml").read_text().splitlines()])

    assert "PYTHONOPTIMIZE" not in told
    assert not re.findall(r"python\d*[\", ]+-O", told)


def test_a_log_line_is_never_held_back() -> None:
    assert any("PYTHONUNBUFFERED=1" in line for line in FINAL_STAGE)


def test_the_image_is_given_what_it_copies_and_nothing_else() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]

    assert rules[0] == "*"
    assert copied() == ALLOWED
    assert [source for source in copied() if not (ROOT / source).exists()] == []


def test_every_package_of_the_project_is_in_the_image() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"])

    assert packages - {"deploy"} <= copied()
    assert {"deploy/__init__.py", "deploy/keys.py"} <= copied()
