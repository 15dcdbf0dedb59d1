"""An answer that was for another user is a 500, which tells neither of them anything."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx

from support.api_server import Serve
from support.crossing_proxy import CrossingProxy
from support.http_contract import create, problem


def test_crossed_answers_are_a_500_and_the_next_ones_are_right(
    serve: Serve, crossed_url: str, crossing_proxy: CrossingProxy, alice: str, bob: str
) -> None:
    with (
        serve(crossed_url, TASKAPI_POOL_SIZE="2") as api,
        api.client(alice) as hers,
        api.client(bob) as his,
        ThreadPoolExecutor(2) as threads,
    ):
        paths = {client: f"/api/tasks/{create(client)['id']}" for client in (hers, his)}

        def both() -> list[httpx.Response]:
            running = [threads.submit(client.get, path) for client, path in paths.items()]
            return [future.result(60) for future in running]

        # The control: neither is refused while answers arrive where they belong.
        assert [response.status_code for response in both()] == [200, 200]
        crossing_proxy.cross()
        crossed = both()
        assert crossing_proxy.crossed == 1
        for response in crossed:
            assert set(problem(response, "internal_error")) == {
                "type", "title", "status", "detail", "code", "request_id",
            }  # fmt: skip
        after = both()
        assert [response.json()["user_id"] for response in after] == [alice, bob]
    log = api.log.read_text()
    assert log.count('"critical"') == 2
    assert "for another owner" in log
