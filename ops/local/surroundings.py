"""What this process was started with, as far as a child or a provider needs it.

Settings are `runtime.settings`' business.  This is the other half: the little of our own environment that programs
of other people (java, mvn, postgres, python) need to run at all.  A child gets these names and what it is told.
"""

import os
from collections.abc import Mapping
from typing import Final

_HANDED_ON: Final = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "JAVA_HOME",
    "MAVEN_OPTS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "DOCKER_HOST",
    "VIRTUAL_ENV",
)


def handed_on(told: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child: what programs need to run, and what it is *told*."""
    ours = {name: value for name in _HANDED_ON if (value := given(name)) is not None}
    return ours | dict(told or {})


def given(name: str) -> str | None:
    """The value somebody gave *name* in our environment; an empty one counts as none."""
    return os.environ.get(name) or None  # noqa: TID251  # The one place: see the module's promise.
