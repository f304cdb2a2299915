"""Check every migration's SQL before it meets a database: a bounded lock wait, and squawk's rules.

`python -m store.migrations.lint` exits with 1 and says what is wrong.  squawk's rules are left out where a table is new
in the same migration, as squawk does by itself; what else is left out says why in `LEFT_OUT`.
"""

import io
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

HERE: Final = Path(__file__).parent
LEFT_OUT: Final = {
    "prefer-robust-stmts": "each migration is one transaction: it is in, or it is not",
    "require-timeout-settings": "lock_timeout is checked here; what a migration may take is the operator's to say",
    "require-concurrent-index-creation": "never inside a transaction; a big table gets a migration that says so",
    "ban-create-domain-with-constraint": "no domains are used",
}
ALEMBICS: Final = re.compile(r"^(BEGIN|COMMIT);$|^CREATE TABLE alembic_version \(.*?^\);$", re.MULTILINE | re.DOTALL)
"""What Alembic writes around a migration: its own business."""

LOCK_TIMEOUT: Final = re.compile(r"^\s*SET LOCAL lock_timeout", re.MULTILINE)


def lint() -> list[str]:
    """What is wrong with the migrations, a line each; empty when nothing is."""
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    revisions = list(ScriptDirectory.from_config(config).walk_revisions())
    problems: list[str] = []
    with TemporaryDirectory() as folder:
        for migration in revisions:
            sql = _sql(config, migration.down_revision, migration.revision)
            if not LOCK_TIMEOUT.search(sql):
                problems.append(f"{migration.revision}: say `SET LOCAL lock_timeout` before anything else")
            problems.extend(_squawk(Path(folder) / f"{migration.revision}.sql", sql))
    return problems


def _sql(config: Config, since: object, revision: str) -> str:
    out = io.StringIO()
    config.output_buffer = out
    with redirect_stdout(out):
        command.upgrade(config, f"{since or 'base'}:{revision}", sql=True)
    return ALEMBICS.sub("", out.getvalue())


def _squawk(file: Path, sql: str) -> list[str]:
    program = shutil.which("squawk", path=str(Path(sys.executable).parent)) or shutil.which("squawk")
    if program is None:
        return ["squawk is not installed: run `make install`"]
    file.write_text(sql)
    excluded = [f"--exclude={rule}" for rule in LEFT_OUT]
    ran = subprocess.run(  # noqa: S603  # Our own file, a fixed program.
        [program, "--pg-version=15", "--assume-in-transaction", *excluded, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [] if ran.returncode == 0 else [ran.stdout.strip() or ran.stderr.strip()]


if __name__ == "__main__":
    found = lint()
    sys.stderr.writelines(f"{problem}\n" for problem in found)
    raise SystemExit(bool(found))
