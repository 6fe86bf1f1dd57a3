"""`python -m tests.bench`: the figures of a mesh on this machine, as a table and as JSON."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.bench import measuring, profiling, sessions, totp, view, webhook
from tests.bench.measuring import Cost, Round
from tests.chaos import postgres, stage

WARM_UP = 100


def main() -> None:
    """Measure one store and print what came of it."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--runs", type=int, default=300, help="runs in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="name where the time goes (py-spy)")
    kinds = ("runs", "webhook", "totp", "sessions", "view")
    parser.add_argument("--what", choices=kinds, default="runs")
    parser.add_argument("--deliveries", type=int, default=20_000, help="of --what webhook")
    parser.add_argument("--no-traces", action="store_true", help="without spans, as a comparison")
    asked = parser.parse_args()
    if asked.what in ("sessions", "view"):
        {"sessions": sessions, "view": view}[asked.what].main()
        return
    stage.end_cleanly()
    if asked.what == "totp":
        totp.main(asked.store)
        return
    if asked.what == "webhook":
        webhook.main(asked.store, asked.deliveries)
        return
    with tempfile.TemporaryDirectory(prefix="podium-bench-") as scratch:
        asyncio.run(_measure(asked, Path(scratch)))


async def _measure(asked: argparse.Namespace, home: Path) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgres.running()) if asked.store == "postgres" else None
        more = {"PODIUM_TRACES": "false"} if asked.no_traces else {}
        url = server.url if server else ""
        mesh = stack.enter_context(stage.raised(home, replicas=1, database_url=url, **more))
        async with measuring.bench(mesh) as bench:
            await bench.prepare(WARM_UP)
            cost = None if asked.no_traces else await bench.cost()
            rounds = [await bench.round(asked.runs) for _ in range(asked.rounds)]
            shares = await _profile(mesh, bench) if asked.profile else {}
    _print(asked, rounds, cost, shares)


async def _profile(mesh: stage.Stage, bench: measuring.Bench) -> dict[str, list[tuple[str, float]]]:
    watching = profiling.start(mesh)
    summing = asyncio.create_task(asyncio.to_thread(watching.shares))
    while not summing.done():
        await bench.loaded(50)
    return await summing


def _print(
    asked: argparse.Namespace,
    rounds: list[Round],
    cost: Cost | None,
    shares: dict[str, list[tuple[str, float]]],
) -> None:
    middle = measuring.medians(rounds)
    columns = [name for name in asdict(middle) if name != "cpu_ms_by_process"]
    print(f"{asked.store}, {asked.runs} runs of 3 no-op blocks, {measuring.IN_FLIGHT} in flight")
    print(f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("          " + "".join(f"{name:>16}" for name in columns))
    for name, each in [*((f"round {n}", r) for n, r in enumerate(rounds, 1)), ("median", middle)]:
        print(f"{name:<10}" + "".join(f"{asdict(each)[column]:>16.1f}" for column in columns))
    if cost is not None:
        told = f"{cost.grpc_calls} gRPC calls, {cost.commits} commits, {cost.bus_messages} messages"
        print(f"one run: {told}")
    shown = sorted(middle.cpu_ms_by_process.items(), key=lambda item: -item[1])
    print("CPU-ms a run by process: " + ", ".join(f"{name} {ms:.1f}" for name, ms in shown))
    for name, parts in shares.items():
        print(f"{name}: share of the samples in which it was busy")
        print("\n".join(f"  {share:6.1%}  {part}" for part, share in parts))
    facts = {
        "store": asked.store,
        "in_flight": measuring.IN_FLIGHT,
        "traces": not asked.no_traces,
        "load": os.getloadavg()[0],
        "median": asdict(middle),
        "rounds": [asdict(each) for each in rounds],
        "cost": cost and asdict(cost),
        "profile": shares,
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
