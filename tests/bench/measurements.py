"""The measurements, each a dict of figure → value; run several times, their medians make the table."""

import asyncio
import contextlib
import json
import statistics
import time

from tests.bench import client
from tests.bench.stack import KEY, MEASURED, OTHERS, Bench, cpu_seconds, memory_mb
from tests.waiting import until

Figures = dict[str, float]
LAYERS = 3


def bare_client(bench: Bench, executions: int = 1500, in_flight: int = 100) -> Figures:
    """What the model's calls cost by themselves: a bare asyncio client makes the same three a time."""
    request, body = _call()

    async def run() -> float:
        left = iter(range(executions))
        async with client.connected(bench.model_url, in_flight) as connections:

            async def work(connection: client.Connection) -> None:
                for _ in left:
                    for _ in range(LAYERS):
                        await connection.send(request, body)

            started = time.perf_counter()
            await asyncio.gather(*(work(each) for each in connections))
            return time.perf_counter() - started

    return {"bare_executions_per_second": executions / asyncio.run(run())}


def throughput(bench: Bench, executions: int = 2000) -> Figures:
    """Three layers at 0 ms, one worker process alone on one core, a backlog before it."""
    bench.clear()
    with bench.api(cores=OTHERS):
        bench.publish("three", layers=LAYERS)
        asyncio.run(_accept(bench, "three", executions, clients=16))
    with bench.worker(cores=MEASURED) as pid:
        until(lambda: bench.ended() > executions / 20, seconds=120)
        first, started, used = bench.ended(), time.perf_counter(), cpu_seconds(pid)
        until(lambda: bench.ended() == executions, seconds=120)
        seconds, used = time.perf_counter() - started, cpu_seconds(pid) - used
        memory = memory_mb(pid)
    done = executions - first
    return {
        "executions_per_second": done / seconds,
        "cpu_ms_per_execution": 1000 * used / done,
        "memory_mb": memory,
    }


def latency(bench: Bench, requests: int = 300) -> Figures:
    """One at a time, on a machine with nothing else to do: from POST to the answer in the waiting client's hands."""
    bench.clear()
    everywhere = OTHERS | MEASURED
    with bench.everywhere(), bench.api(cores=everywhere), bench.worker(cores=everywhere):
        bench.publish("three", layers=LAYERS)
        seconds = asyncio.run(_one_by_one(bench, requests))
        bare = asyncio.run(_bare_one_by_one(bench, requests))
    return {
        "bare_wait_p50_ms": 1000 * _percentile(bare, 50),
        "wait_p50_ms": 1000 * _percentile(seconds, 50),
        "wait_p99_ms": 1000 * _percentile(seconds, 99),
    }


def in_flight(bench: Bench, executions: int = 1500, slots: int = 600) -> Figures:
    """Calls of two seconds: how many one worker process has open at once, and its memory."""
    bench.clear()
    bench.model("DELETE", "/_calls")
    with bench.api(cores=OTHERS):
        bench.publish("slow", layers=1, model="demo:latency=2000")
        asyncio.run(_accept(bench, "slow", executions, clients=16))
    with bench.worker(cores=MEASURED, STRATA_WORKER_CONCURRENCY=str(slots), STRATA_CALLS_IN_FLIGHT=str(slots)) as pid:
        memory = 0.0
        while bench.ended() < executions:
            memory = max(memory, memory_mb(pid))
            time.sleep(0.1)
    return {"calls_in_flight": bench.model("GET", "/_calls/count")["max_in_flight"], "worker_memory_mb": memory}


def accepting(bench: Bench, requests: int = 3000) -> Figures:
    """POSTs that one API core accepts; the time of each at 150 a second; and that with 500 clients waiting."""
    bench.clear()
    with bench.api(cores=MEASURED):
        bench.publish("three", layers=LAYERS)
        seconds = asyncio.run(_accept(bench, "three", requests, clients=32))
        calm = asyncio.run(_paced(bench, rate=150, seconds=6))
        crowded = asyncio.run(_paced_among_waiters(bench, rate=150, seconds=6, waiters=500))
    return {
        "accepted_per_second": requests / seconds,
        "accept_p50_ms": 1000 * _percentile(calm, 50),
        "accept_p99_ms": 1000 * _percentile(calm, 99),
        "accept_p99_ms_with_500_waiting": 1000 * _percentile(crowded, 99),
    }


async def _accept(bench: Bench, handle: str, count: int, *, clients: int) -> float:
    request, body = _start(handle)
    left = iter(range(count))
    async with client.connected(bench.url, clients) as connections:

        async def work(connection: client.Connection) -> None:
            for _ in left:
                status, answer = await connection.send(request, body)
                assert status == 202, answer

        started = time.perf_counter()
        await asyncio.gather(*(work(each) for each in connections))
        return time.perf_counter() - started


async def _one_by_one(bench: Bench, count: int) -> list[float]:
    request, body = _start("three", Prefer="wait=30")
    return await client.one_by_one(bench.url, request, body, count)


async def _bare_one_by_one(bench: Bench, count: int) -> list[float]:
    request, body = _call()
    async with client.connected(bench.model_url, 1) as (connection,):
        timed = [sum([(await connection.timed(request, body))[1] for _ in range(LAYERS)]) for _ in range(20 + count)]
    return timed[20:]


async def _paced(bench: Bench, *, rate: int, seconds: float) -> list[float]:
    """Open loop: a request is sent when it is due, however the ones before fare; its time counts from then."""
    request, body = _start("three")
    async with client.connected(bench.url, 30) as connections:
        free: asyncio.Queue[client.Connection] = asyncio.Queue()
        for each in connections:
            free.put_nowait(each)
        found: list[float] = []

        async def one(due: float) -> None:
            connection = await free.get()
            await connection.send(request, body)
            found.append(time.perf_counter() - due)
            free.put_nowait(connection)

        started = time.perf_counter()
        tasks = []
        for number in range(int(rate * seconds)):
            due = started + number / rate
            await asyncio.sleep(max(0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(one(due)))
        await asyncio.gather(*tasks)
    return found


async def _paced_among_waiters(bench: Bench, *, rate: int, seconds: float, waiters: int) -> list[float]:
    request, body = _start("three", Prefer="wait=60")
    async with client.connected(bench.url, waiters) as connections:
        waiting = [asyncio.create_task(each.send(request, body)) for each in connections]
        await asyncio.sleep(3)
        found = await _paced(bench, rate=rate, seconds=seconds)
        assert not any(each.done() for each in waiting)
        for each in waiting:
            each.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting)
    return found


def _call() -> tuple[bytes, bytes]:
    """A call of the model, as a layer makes it."""
    return (
        client.head("POST", "/v1/chat/completions", Authorization="Bearer demo"),
        json.dumps({"model": "demo", "messages": [{"role": "user", "content": "Say hello."}]}).encode(),
    )


def _start(handle: str, **headers: str) -> tuple[bytes, bytes]:
    path = f"/v2/pipelines/{handle}/versions/latest/executions"
    return (
        client.head("POST", path, Authorization=f"Bearer {KEY}", **headers),
        json.dumps({"inputs": {"word": "hello"}}).encode(),
    )


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
