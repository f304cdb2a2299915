"""Settings that come from files: `X_FILE=path` for any setting X, or a file named like the field in SECRETS_DIR.

So that a secret need not stand in the environment, where child processes and `/proc` show it.
"""

import os
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource


class SecretFiles(PydanticBaseSettingsSource):
    """Reads each field from the file named for it, if there is one."""

    def __init__(self, settings_class: type[BaseSettings]) -> None:
        super().__init__(settings_class)
        self._folder = os.environ.get("SECRETS_DIR")

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  # pydantic's signature.
        """The content of the field's file, without the newline that editors leave."""
        path = self._path(field_name)
        return (None if path is None else path.read_text().strip()), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Every field that has a file."""
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}

    def _path(self, field_name: str) -> Path | None:
        variable = field_name.upper()
        named = os.environ.get(f"{variable}_FILE")
        if named:
            if variable in os.environ:
                raise ValueError(f"{variable} and {variable}_FILE are both set: only one can be meant")
            return Path(named)
        in_folder = Path(self._folder, field_name) if self._folder else None
        return in_folder if in_folder is not None and in_folder.is_file() else None
