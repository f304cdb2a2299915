"""Where the catalog comes from: a YAML file beside the deployment, read once."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from models.catalog import Catalog


class BadCatalog(Exception):
    """The file is not a catalog; the message names the entry and what is wrong with it."""


def read(path: Path) -> Catalog:
    """The catalog in *path*.  Raises OSError when it is not there, BadCatalog when it is not one."""
    try:
        return Catalog.model_validate(yaml.safe_load(path.read_bytes()))
    except yaml.YAMLError as error:
        raise BadCatalog(f"{path} is not YAML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, at['loc']))}: {at['msg']}" for at in error.errors())
        raise BadCatalog(f"{path}: {problems}") from error
