"""Which shape a request's `Stripe-Version` is answered in: the newest that is not newer than asked for."""

import re
from typing import Final

from simulator.refusals import Refused
from simulator.shapes import API_VERSIONS

_VERSION: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(\.[a-z]+)?(;.*)?")


def shape_version(api_version: str) -> str:
    """The version among those that the shapes speak; Refused where *api_version* is none of Stripe's."""
    matched = _VERSION.fullmatch(api_version)
    if not matched:
        raise Refused(f"Invalid Stripe API version: {api_version}", param="Stripe-Version")
    spoken = [version for version in API_VERSIONS if version[: len(matched[1])] <= matched[1]]
    return spoken[-1] if spoken else API_VERSIONS[0]
