import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

SCRIPT: Final = Path(__file__).parents[2] / "deploy/make-secrets.sh"


def make(folder: Path) -> dict[str, str]:
    subprocess.run(["sh", SCRIPT, folder], check=True, capture_output=True)
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "secrets"


def test_making_secrets_again_changes_none(folder: Path) -> None:
    assert make(folder) == make(folder)


def test_a_secret_of_stripes_own_stays(folder: Path) -> None:
    folder.mkdir()
    own = {"stripe_webhook_secrets": "whsec_from_the_dashboard", "stripe_api_key": "rk_test_from_the_dashboard"}
    for name, secret in own.items():
        (folder / name).write_text(secret)

    assert own.items() <= make(folder).items()


def test_no_two_secrets_are_alike_nor_are_those_of_two_environments(tmp_path: Path) -> None:
    made = [*make(tmp_path / "one").values(), *make(tmp_path / "other").values()]

    assert len(set(made)) == len(made)
    assert min(len(secret) for secret in made) >= 48


def test_only_the_owner_gets_into_the_folder_and_any_container_reads_the_files(folder: Path) -> None:
    make(folder)

    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}


@pytest.mark.parametrize("role", ["owner", "app"])
def test_a_database_url_has_the_password_that_the_role_is_made_with(folder: Path, role: str) -> None:
    made = make(folder)
    url = urlsplit(made[f"database_url_{role}"])

    assert (url.username, url.password) == (f"billing_{role}", made[f"billing_{role}_password"])
    assert (url.hostname, url.port, url.path) == ("postgres", 5432, "/billing")
