"""One campaign: a mesh, a load, a schedule of faults, a rest, and the invariants."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import invariants, nemesis, postgres, stage, world
from tests.chaos.books import Books, LeaseWatch, Loss
from tests.chaos.invariants import Evidence
from tests.chaos.load import Load
from tests.chaos.nemesis import Nemesis
from tests.chaos.stage import Stage

REST_WITHIN_S = 20.0
# When others keep the cores busy, wall time says little; the invariants still have to hold.
PATIENCE_WHEN_BUSY = 3.0
TAKE_OVER_P95_S = 5.0
WARM_UP_S = 1.5
QUIET_S = 30.0


@dataclass(frozen=True)
class Plan:
    """What is asked of a campaign; the seed and the rest decide everything that is drawn."""

    seed: int
    seconds: float
    store: str = "sqlite"
    pages: bool = True
    every_s: tuple[float, float] = (3.0, 8.0)


@dataclass(frozen=True)
class Result:
    """What came of it."""

    plan: Plan
    evidence: Evidence
    problems: list[str]
    rested_after_s: float
    busy: bool

    @property
    def take_over_p95_s(self) -> float | None:
        """From a fault that hit a holder to another holder; None when no holder was hit."""
        return percentile([x for x in map(_taken, self.evidence.watch.losses) if x is not None])

    def report(self) -> str:
        """The campaign in a few lines."""
        followed = self.evidence.accepted()
        ends = Counter(f"{each.kind.name}" for each in followed if each.run is not None)
        taken = [x for x in map(_taken, self.evidence.watch.losses) if x is not None]
        streams = sum(each.streams for each in followed)
        lines = [
            f"{len(followed)} runs ({', '.join(f'{n} {k}' for k, n in sorted(ends.items()))})",
            f"{len(self.evidence.world.effects)} effects, {streams} streams,"
            f" {len(self.evidence.world.told)} webhook messages",
            f"at rest {self.rested_after_s:.1f} s after the last fault",
        ]
        if taken:
            p95 = self.take_over_p95_s
            lines.append(
                f"take-over of {len(taken)} leases: median {percentile(taken, 0.5):.2f} s,"
                f" p95 {p95:.2f} s, longest {max(taken):.2f} s"
            )
        if self.busy:
            lines.append("the machine was busy with other work: bounds on time are wider")
        lines += [f"VIOLATED {problem}" for problem in self.problems] or ["every invariant holds"]
        return "\n".join(lines)


def announce(plan: Plan) -> str:
    """The schedule, and the command that repeats it."""
    lines = [
        f"seed {plan.seed}: make chaos SECONDS={plan.seconds:g} SEED={plan.seed} STORE={plan.store}"
    ]
    return "\n".join([*lines, *map(str, schedule_of(plan))])


def schedule_of(plan: Plan) -> list[nemesis.Fault]:
    """The faults that a plan's seed draws."""
    return nemesis.schedule(
        plan.seed,
        plan.seconds,
        postgres=plan.store == "postgres",
        pages=plan.pages,
        every_s=plan.every_s,
    )


async def carried_out(plan: Plan, home: Path) -> Result:
    """Bring everything up, do it, let it come to rest, look at what there is."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgres.running()) if plan.store == "postgres" else None
        mesh = stack.enter_context(stage.raised(home, database_url=server.url if server else ""))
        async with world.opened() as outside:
            return await _campaign(plan, mesh, outside, server)


async def _campaign(
    plan: Plan, mesh: Stage, outside: world.World, server: postgres.Server | None
) -> Result:
    books = Books(mesh.home, mesh.database_url, mesh.status().redis_url)
    watch = LeaseWatch(books)
    load = Load(mesh, outside, plan.seed, plan.pages)
    watching = asyncio.create_task(watch.run())
    loading = asyncio.create_task(load.run())
    evil = Nemesis(mesh, watch, server)
    await asyncio.sleep(WARM_UP_S)
    await evil.carry_out(schedule_of(plan))
    calm = time.monotonic()
    load.end()
    busy = os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1)
    patience_s = REST_WITHIN_S * (PATIENCE_WHEN_BUSY if busy else 1.0)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(loading), patience_s)
    rested_after_s = time.monotonic() - calm
    if not loading.done():
        loading.cancel()
    await asyncio.gather(loading, return_exceptions=True)
    crashed = [] if loading.cancelled() or not loading.exception() else [repr(loading.exception())]
    left = await _at_rest(books, mesh, outside, load)
    watching.cancel()
    evidence = Evidence(
        followed=load.followed,
        refusals=load.refusals,
        world=outside,
        windows=evil.windows,
        watch=watch,
        stored=await books.history(),
        rows=await books.rows("run", "SELECT * FROM runs"),
        left=left,
    )
    problems = crashed + invariants.violations(evidence)
    result = Result(plan, evidence, problems, rested_after_s, busy)
    problems += _too_late(result)
    return result


async def _at_rest(books: Books, mesh: Stage, outside: world.World, load: Load) -> list[str]:
    """What is still left once nothing changes any more, or when patience is over."""
    end = time.monotonic() + QUIET_S
    while True:
        left = await books.left_after(0.0)
        left += [f"Chromium {pid} still runs" for pid in mesh.browsers()]
        told = {message.run_id for message in outside.told}
        untold = [x.run_id for x in load.followed if x.run is not None and x.run_id not in told]
        if not (left or untold) or time.monotonic() > end:
            return left
        await asyncio.sleep(0.2)


def _too_late(result: Result) -> list[str]:
    p95 = result.take_over_p95_s
    bound = TAKE_OVER_P95_S * (PATIENCE_WHEN_BUSY if result.busy else 1.0)
    if p95 is not None and p95 > bound:
        return [f"l2_take_over: p95 is {p95:.2f} s, at most {bound:g} s is promised"]
    return []


def _taken(loss: Loss) -> float | None:
    return None if loss.hit_again else loss.taken_after_s


def percentile(values: list[float], part: float = 0.95) -> float | None:
    """The smallest value that at least this part of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else None
