from collections.abc import Callable

import aiohttp
import pytest

from runtime import health


@pytest.mark.parametrize("reason", [None, "the broker whsec_hunter22 is away"])
async def test_a_process_lives_whether_or_not_it_is_ready(free_port: Callable[[], int], reason: str | None) -> None:
    async def ready() -> None:
        if reason:
            raise RuntimeError(reason)

    port = free_port()
    runner = await health.serve("127.0.0.1", port, ready)
    try:
        lives, is_ready, metrics = [await _get(port, place) for place in ("livez", "readyz", "metrics")]
    finally:
        await runner.cleanup()

    assert lives == (200, "ok\n")
    assert is_ready == ((503, "not ready\n") if reason else (200, "ok\n"))
    assert metrics[0] == 200
    assert "python_info" in metrics[1]


async def _get(port: int, place: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/{place}") as answer:
        return answer.status, await answer.text()
