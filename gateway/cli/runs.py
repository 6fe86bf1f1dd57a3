"""run, watch and runs: starting work, following it, looking at it, stopping it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from gateway.cli import parameters, spans, tracing, watching, wishes
from gateway.cli.commands import Command, Group, limit_option, terminal
from gateway.cli.exits import OK, RUN_NOT_COMPLETED, Ended
from gateway.cli.terminal import Terminal, words
from gateway.cli.workflows import apply_file, document_file
from libs.wire import as_dict, duration
from podium.browser_session.v1 import browser_session_pb2
from podium.run.v1 import run_pb2
from podium.workflow.v1 import workflow_pb2

FIELDS = (
    ("run", "run_id"),
    ("title", "title"),
    ("state", "state"),
    ("to pause", "pause_requested"),
    ("workflow", "workflow_id"),
    ("session", "browser_session_id"),
    ("asked of it", "session"),
    ("created", "create_time"),
    ("started", "start_time"),
    ("ended", "end_time"),
    ("output", "output"),
    ("failure", "failure.message"),
    ("at", "failure.block_path"),
    ("detail", "detail"),
)
COLUMNS = (
    ("run", "run_id"),
    ("state", "state"),
    ("title", "title"),
    ("created", "create_time"),
    ("ended", "end_time"),
    ("failure", "failure.message"),
)
STATES = [name.removeprefix("RUN_STATE_").lower() for name in run_pb2.RunState.keys()[1:]]


@click.command(cls=Command)
@click.argument("target", required=False, metavar="[WORKFLOW|FILE]")
@click.option("--task", "goal", default="", help="Instead of a workflow: a goal in plain words.")
@click.option("--url", default="", help="Page to open first, with --task.")
@click.option("-p", "--param", "pairs", multiple=True, metavar="NAME=VALUE", help="A parameter.")
@click.option(
    "--params-file",
    type=click.Path(path_type=Path, allow_dash=True),
    help='Parameters as YAML or JSON; "-" for stdin.',
)
@click.option("--session", default="", help="Browser session to use (bs_…).")
@click.option("--profile", default="", help="Profile that its session begins with (bp_…).")
@click.option("--save-profile", is_flag=True, help="Save a new version of it at the end.")
@click.option(
    "--reuse", default="", metavar="new|workflow|key:…", help="Whose session it goes on in."
)
@click.option("--locale", default="", help='Such as "en-GB".')
@click.option("--time-zone", default="", help='Such as "Europe/Zurich".')
@click.option(
    "--session-options",
    type=click.File(),
    help="What its session is to be, as JSON, as the API takes `session.options`; - for stdin.",
)
@click.option("--version", default=0, help="Version of the workflow; the newest by default.")
@click.option("--idempotency-key", default="", help="The same key, the same run.")
@click.option("--timeout", type=float, help="Longest the run may last, in seconds.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label.")
@click.option("--detach", is_flag=True, help="Print the run and do not wait for its end.")
@click.option("--stats", "with_stats", is_flag=True, help="Print what the run cost (local mesh).")
@terminal
def run(term: Terminal, target: str | None, goal: str, with_stats: bool, **options: Any) -> None:
    """Start a run and follow it live.

    What to run is a saved workflow (its name or id), a file with a definition (saved first), or
    --task "a goal in plain words" --url https://…
    """
    if bool(target) == bool(goal):
        raise click.UsageError('give a workflow (name, id or file), or --task "a goal"')
    request = _request(term, target, goal, options)
    accepted = term.edge.ask(term.edge.run.CreateRun, request).run
    if options["detach"]:
        term.show(accepted, FIELDS)
        return
    term.tell(f"{accepted.run_id}  {accepted.title}")
    raise Ended(finish(term, accepted.run_id, with_stats))


def _request(
    term: Terminal, target: str | None, goal: str, options: dict[str, Any]
) -> run_pb2.CreateRunRequest:
    request = run_pb2.CreateRunRequest(
        workflow_version=options["version"],
        browser_session_id=options["session"],
        idempotency_key=options["idempotency_key"],
        labels=parameters.labels(options["labels"]),
    )
    if (wish := wishes.of_run(options)) is not None:
        request.session.CopyFrom(wish)
    if options["timeout"]:
        request.timeout.CopyFrom(duration(options["timeout"]))
    schema = None
    if goal:
        request.task.goal = goal
        request.task.url = options["url"]
    else:
        workflow = _workflow(term, target or "")
        request.workflow_id = workflow.workflow_id
        schema = as_dict(workflow.parameters_schema)
    values = parameters.parse(options["pairs"], options["params_file"], schema)
    if values:
        request.parameters.update(values)
    return request


def _workflow(term: Terminal, target: str) -> workflow_pb2.Workflow:
    if path := document_file(target):
        return apply_file(term, path)
    request = workflow_pb2.GetWorkflowRequest(workflow_id=target)
    return term.edge.ask(term.edge.workflow.GetWorkflow, request).workflow


def finish(term: Terminal, run_id: str, with_stats: bool = False) -> int:
    """Follow a run to its end, print what came of it, answer the exit code."""
    if term.as_json:
        for _ in watching.history(term, run_id):
            pass  # The end is what matters; --json prints one document.
    else:
        watching.follow(term, run_id)
    ended = get(term, run_id)
    files = artifacts(term, run_id)
    cost = spans.cost(spans.of_run(term.home / "traces", run_id)) if with_stats else None
    if term.as_json:
        report = {"run": as_dict(ended), "artifacts": [as_dict(x) for x in files]}
        term.emit(report | ({"stats": cost} if cost else {}))
    else:
        print_end(term, ended, files)
        if cost:
            term.tell(f"cost: {tracing.summary(cost)}")
    return OK if ended.state == run_pb2.RUN_STATE_COMPLETED else RUN_NOT_COMPLETED


def print_end(
    term: Terminal, ended: run_pb2.Run, files: list[browser_session_pb2.Artifact]
) -> None:
    """The end of a run for people: output, artifacts, failure, time."""
    took = ended.end_time.ToMilliseconds() - ended.create_time.ToMilliseconds()
    state = words(run_pb2.RunState.Name(ended.state))
    colour = "green" if ended.state == run_pb2.RUN_STATE_COMPLETED else "red"
    term.out.print(f"[{colour}]{state}[/] in {took / 1000:.2f} s")
    if ended.HasField("failure"):
        where = f" (at {ended.failure.block_path})" if ended.failure.block_path else ""
        term.tell(f"{ended.failure.reason}: {ended.failure.message}{where}")
    if ended.detail:
        term.tell(ended.detail)
    if ended.output:
        term.tell("output:")
        term.out.print_json(json.dumps(as_dict(ended.output), ensure_ascii=False))
    for file in files:
        term.tell(
            f"{file.kind}: {file.name}  {file.size_bytes} bytes  {file.artifact_id}"
            f"  (podium sessions artifact {file.artifact_id} -o .)"
        )


def get(term: Terminal, run_id: str) -> run_pb2.Run:
    """A run as it stands."""
    return term.edge.ask(term.edge.run.GetRun, run_pb2.GetRunRequest(run_id=run_id)).run


def artifacts(term: Terminal, run_id: str) -> list[browser_session_pb2.Artifact]:
    """The files a run brought, oldest first."""
    request = browser_session_pb2.ListArtifactsRequest(run_id=run_id)
    method = term.edge.browser_session.ListArtifacts
    return term.edge.pages(method, request, "artifacts", 200)[::-1]


@click.command(cls=Command)
@click.argument("run_id")
@click.option("--after", default=0, help="Sequence of the last event already seen.")
@terminal
def watch(term: Terminal, run_id: str, after: int) -> None:
    """Follow a run live; with --json one history event a line. Ctrl-C lets go of it."""
    watching.follow(term, run_id, after)
    ended = get(term, run_id)
    if not term.as_json:
        print_end(term, ended, artifacts(term, run_id))
    raise Ended(OK if ended.state == run_pb2.RUN_STATE_COMPLETED else RUN_NOT_COMPLETED)


@click.group(cls=Group)
def runs() -> None:
    """Look at runs, wait for them, pause, resume and stop them."""


@runs.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only these.")
@click.option("--workflow", default="", help="Only runs of this workflow.")
@limit_option
@terminal
def list_(term: Terminal, states: tuple[str, ...], workflow: str, limit: int) -> None:
    """Runs, newest first."""
    wanted = [f"RUN_STATE_{state.upper()}" for state in states]
    request = run_pb2.ListRunsRequest(states=wanted, workflow_id=workflow)
    found = term.edge.pages(term.edge.run.ListRuns, request, "runs", limit)
    term.show_list("runs", found, COLUMNS)


@runs.command("get")
@click.argument("run_id")
@terminal
def get_command(term: Terminal, run_id: str) -> None:
    """One run."""
    term.show(get(term, run_id), FIELDS)


@runs.command()
@click.argument("run_id")
@click.option("--reason", default="", help="Why, for the history.")
@terminal
def cancel(term: Terminal, run_id: str, reason: str) -> None:
    """Ask a run to stop; its steps are undone."""
    request = run_pb2.CancelRunRequest(run_id=run_id, reason=reason)
    term.show(term.edge.ask(term.edge.run.CancelRun, request).run, FIELDS)


@runs.command()
@click.argument("run_id")
@click.option("--reason", default="", help="Why, for the history.")
@terminal
def pause(term: Terminal, run_id: str, reason: str) -> None:
    """Let a run stop at its next block boundary."""
    request = run_pb2.PauseRunRequest(run_id=run_id, reason=reason)
    term.show(term.edge.ask(term.edge.run.PauseRun, request).run, FIELDS)


@runs.command()
@click.argument("run_id")
@terminal
def resume(term: Terminal, run_id: str) -> None:
    """Let a paused run go on."""
    request = run_pb2.ResumeRunRequest(run_id=run_id)
    term.show(term.edge.ask(term.edge.run.ResumeRun, request).run, FIELDS)


@runs.command()
@click.argument("run_id")
@click.option("--timeout", default=300.0, show_default=True, help="Longest to wait, in seconds.")
@terminal
def wait(term: Terminal, run_id: str, timeout: float) -> None:
    """Wait for the end of a run; exit code 8 when it has not ended in time."""
    deadline = term.clock.monotonic() + timeout
    while True:
        left = max(0.0, min(300.0, deadline - term.clock.monotonic()))
        request = run_pb2.WaitRunRequest(run_id=run_id, timeout=duration(left))
        answer = term.edge.ask(term.edge.run.WaitRun, request, timeout_s=left + 10)
        if answer.done or left <= 0:
            break
    term.show(answer.run, FIELDS)
    if not answer.done:
        term.say(f"{run_id} has not ended within {timeout:g} s; it goes on.")
        raise Ended(8)
    raise Ended(OK if answer.run.state == run_pb2.RUN_STATE_COMPLETED else RUN_NOT_COMPLETED)
