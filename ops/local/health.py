"""Whether a process of ours says that it may have work."""

from http import HTTPStatus
from typing import Final

import aiohttp

ANSWER_SECONDS_MAX: Final = 3.0  # A process gives its own dependencies two.


async def is_ready(url: str) -> bool:
    """Whether `/readyz` answers 200; no answer is no."""
    limit = aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)
    try:
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(f"{url}/readyz") as answer:
            return answer.status == HTTPStatus.OK
    except (aiohttp.ClientError, TimeoutError):
        return False
