"""Runs as protobuf, and requests as the domain has them. Pure functions."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf import json_format

from libs import errors, history
from libs.wire import as_dict, plain, seconds, struct, timestamp, without_secrets
from podium.browser_session.v1 import browser_session_pb2, settings_pb2
from podium.common.v1 import failure_pb2
from podium.run.v1 import run_pb2
from podium.totp.v1 import totp_pb2
from podium.workflow.v1 import workflow_pb2
from services.run.audit import Finding
from services.run.domain import (
    DEFAULT_TIMEOUT,
    LONGEST_TIMEOUT,
    Alert,
    Failure,
    Outcome,
    Run,
    RunState,
    Step,
    outcome_of_workflow,
)

MOST_LABELS = 16
LONGEST_REASON = 500
DEFAULT_WAIT_S = 30.0
LONGEST_WAIT_S = 300.0


def run(found: Run) -> run_pb2.Run:
    """A run as clients see it."""
    message = run_pb2.Run(
        run_id=found.run_id,
        state=f"RUN_STATE_{found.state.upper()}",
        workflow_id=found.workflow_id,
        workflow_version=found.workflow_version,
        workflow_run_id=found.workflow_run_id,
        browser_session_id=found.browser_session_id,
        parameters=struct(found.parameters),
        steps=[_step(step) for step in found.steps],
        last_sequence=found.last_sequence,
        create_time=timestamp(found.created_at),
        start_time=timestamp(found.started_at),
        end_time=timestamp(found.ended_at),
        labels=found.labels,
        title=found.title,
        detail=found.detail,
        pause_requested=found.pause_requested and not found.ended,
    )
    if found.output is not None:
        message.output.CopyFrom(struct(found.output))
    if found.failure is not None:
        message.failure.CopyFrom(failure(found.failure))
    if found.session is not None:
        message.session.CopyFrom(_wish(found.session))
    return message


def event(entry: history.Entry) -> run_pb2.RunEvent:
    """A history entry as clients see it."""
    return run_pb2.RunEvent(
        run_id=entry.stream_id,
        sequence=entry.sequence,
        type=entry.type,
        source=entry.source,
        occurred_at=timestamp(entry.occurred_at),
        data=struct(entry.data),
        hash=entry.hash,
    )


def rebuilt(run_id: str, found: Finding) -> run_pb2.RebuildRunResponse:
    """What an audit found."""
    message = run_pb2.RebuildRunResponse(
        run_id=run_id,
        result=f"REBUILD_RESULT_{found.result.upper()}",
        event_count=found.event_count,
    )
    if (difference := found.difference) is not None:
        message.difference.place = difference.place
        message.difference.stored = difference.stored
        message.difference.rebuilt = difference.rebuilt
    return message


def alert(found: Alert) -> run_pb2.Alert:
    """An alert as people see it."""
    return run_pb2.Alert(
        alert_id=found.alert_id,
        level=found.level,
        reason=found.reason,
        run_id=found.run_id,
        message=str(found.context.get("message", "")),
        context=struct(found.context),
        create_time=timestamp(found.created_at),
    )


def failure(found: Failure) -> failure_pb2.Failure:
    """Why a run failed."""
    return failure_pb2.Failure(**found.as_dict())


def _step(step: Step) -> run_pb2.SagaStep:
    return run_pb2.SagaStep(
        name=step.name,
        state=f"SAGA_STEP_STATE_{step.state.upper()}",
        start_time=timestamp(step.started_at),
        end_time=timestamp(step.ended_at),
        message=step.message,
    )


def states(wanted: Any) -> list[RunState]:
    """The states of a filter."""
    known = run_pb2.RunState.values()
    if strange := [number for number in wanted if number not in known]:
        raise errors.Invalid("states", f"{strange[0]} is not the number of a state")
    names = [run_pb2.RunState.Name(number) for number in wanted]
    if "RUN_STATE_UNSPECIFIED" in names:
        raise errors.Invalid("states", "RUN_STATE_UNSPECIFIED is not a state to look for")
    return [RunState(name.removeprefix("RUN_STATE_").lower()) for name in names]


def checked(request: run_pb2.CreateRunRequest) -> None:
    """Raises Invalid for everything that can be told from the request alone."""
    wrong: list[tuple[str, str]] = []
    if request.WhichOneof("target") is None:
        wrong.append(("workflow_id", "give either workflow_id or task"))
    if request.WhichOneof("target") == "workflow_id" and not request.workflow_id:
        wrong.append(("workflow_id", "is empty"))
    if request.workflow_version < 0:
        wrong.append(("workflow_version", "must not be negative"))
    if request.HasField("task") and request.workflow_version:
        wrong.append(("workflow_version", "a task has no version"))
    if not re.fullmatch(r"[\x20-\x7e]{0,128}", request.idempotency_key):
        wrong.append(("idempotency_key", "must be at most 128 printable ASCII characters"))
    wrong += _faulty_labels(dict(request.labels)) + _faulty_wish(request)
    if wrong:
        raise errors.Invalid.many(wrong)


def reason(given: str) -> str:
    """Why somebody asks for something; Invalid when it is too long."""
    if len(given) > LONGEST_REASON:
        raise errors.Invalid("reason", f"must be at most {LONGEST_REASON} characters")
    # A database of texts has no place for it.
    return given.replace("\0", "")


def _faulty_labels(labels: dict[str, str]) -> list[tuple[str, str]]:
    wrong = []
    if len(labels) > MOST_LABELS:
        wrong.append(("labels", f"must be at most {MOST_LABELS}, not {len(labels)}"))
    for key, value in labels.items():
        if not 0 < len(key) <= 64:
            wrong.append(("labels", "a key must have 1 to 64 characters"))
        if len(value) > 256:
            wrong.append((f"labels.{key[:64]}", "must be at most 256 characters"))
    return wrong


def _faulty_wish(request: run_pb2.CreateRunRequest) -> list[tuple[str, str]]:
    if not request.HasField("session"):
        return []
    if request.browser_session_id:
        return [("session", "asks for another session than browser_session_id names")]
    reuse = request.session.reuse
    if reuse.mode != settings_pb2.REUSE_MODE_PER_WORKFLOW:
        return []
    if request.HasField("task"):
        return [("session.reuse.mode", "a task has no workflow; use REUSE_MODE_PER_KEY")]
    return [("session.reuse.key", "must be empty: it is the workflow")] if reuse.key else []


def run_timeout(request: run_pb2.CreateRunRequest) -> timedelta:
    """How long the run may last."""
    if not request.HasField("timeout"):
        return DEFAULT_TIMEOUT
    most = LONGEST_TIMEOUT.total_seconds()
    return timedelta(seconds=seconds("timeout", request.timeout, most=most))


def request_hash(request: run_pb2.CreateRunRequest) -> str:
    """What makes two requests the same: everything but the key itself."""
    bare = run_pb2.CreateRunRequest()
    bare.CopyFrom(request)
    bare.ClearField("idempotency_key")
    if bare.HasField("session"):
        # Whoever reads the hash could find a password by trying.
        bare.session.CopyFrom(without_secrets(bare.session))
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest()


def wish(request: run_pb2.CreateRunRequest) -> tuple[dict[str, Any] | None, bytes]:
    """What is asked of the run's session: as it may be read, and whole if that has secrets."""
    if not request.HasField("session"):
        return None, b""
    asked, readable = request.session, without_secrets(request.session)
    return as_dict(readable) or None, asked.SerializeToString() if readable != asked else b""


def _wish(stored: dict[str, Any]) -> run_pb2.SessionWish:
    return json_format.ParseDict(stored, run_pb2.SessionWish(), ignore_unknown_fields=True)


def check_options(asked: run_pb2.SessionWish) -> browser_session_pb2.CheckOptionsRequest:
    """Asks whether such a session may be asked for; a workflow's own key needs no check."""
    request = browser_session_pb2.CheckOptionsRequest(options=asked.options)
    if asked.reuse.mode != settings_pb2.REUSE_MODE_PER_WORKFLOW:
        request.reuse.CopyFrom(asked.reuse)
    return request


def workflow_run_order(
    run_id: str, request: run_pb2.CreateRunRequest
) -> workflow_pb2.CreateWorkflowRunRequest:
    """What to ask the workflow service for; a single task is a workflow of one block."""
    order = workflow_pb2.CreateWorkflowRunRequest(
        run_id=run_id, workflow_version=request.workflow_version
    )
    order.parameters.CopyFrom(request.parameters)
    if request.HasField("task"):
        order.document.CopyFrom(struct(_document_of(request.task)))
    else:
        order.workflow_id = request.workflow_id
    return order


def _document_of(task: run_pb2.TaskSpec) -> dict[str, Any]:
    return {
        "name": "task",
        "title": (task.goal or task.url or "task")[:200],
        "blocks": [{"label": "task", "kind": "task", "params": as_dict(task)}],
        "output": {"result": "{{ blocks.task.output }}"},
    }


def outcome(found: workflow_pb2.WorkflowRun) -> Outcome | None:
    """The end of a workflow run as the end of its run; None while it goes on."""
    name = workflow_pb2.WorkflowRunState.Name(found.state).removeprefix("WORKFLOW_RUN_STATE_")
    if name in ("CREATED", "RUNNING", "PAUSED", "UNSPECIFIED"):
        return None
    result = {
        "state": name.lower(),
        "output": plain(found.output),
        "failure": as_dict(found.failure),
    }
    return outcome_of_workflow(result)


def ended_at(found: workflow_pb2.WorkflowRun) -> datetime:
    """When a workflow run ended."""
    return found.end_time.ToDatetime(tzinfo=UTC)


def acquire_session(found: Run, whole_wish: bytes) -> browser_session_pb2.AcquireSessionRequest:
    """Asks for the session that the client named, or for one as it wished for."""
    wanted = _wish(found.session or {})
    if whole_wish:
        wanted = run_pb2.SessionWish.FromString(whole_wish)
    if wanted.reuse.mode == settings_pb2.REUSE_MODE_PER_WORKFLOW:
        wanted.reuse.key = found.workflow_id
    request = browser_session_pb2.AcquireSessionRequest(
        run_id=found.run_id,
        browser_session_id=found.requested_session_id,
        saga_fence=found.fence,
    )
    if wanted.HasField("options"):
        request.options.CopyFrom(wanted.options)
    if wanted.HasField("reuse"):
        request.reuse.CopyFrom(wanted.reuse)
    return request


def release_session(found: Run) -> browser_session_pb2.ReleaseSessionRequest:
    """Gives the session back; without an id (the answer was lost) whichever the run holds."""
    return browser_session_pb2.ReleaseSessionRequest(
        browser_session_id=found.browser_session_id, run_id=found.run_id
    )


def start_workflow_run(found: Run) -> workflow_pb2.StartWorkflowRunRequest:
    """Lets the engine begin, in the session if there is one."""
    return workflow_pb2.StartWorkflowRunRequest(
        workflow_run_id=found.workflow_run_id, browser_session_id=found.browser_session_id
    )


def cancel_workflow_run(workflow_run_id: str, reason: str) -> workflow_pb2.CancelWorkflowRunRequest:
    """Stops a workflow run, or abandons it."""
    return workflow_pb2.CancelWorkflowRunRequest(workflow_run_id=workflow_run_id, reason=reason)


def pause_workflow_run(found: Run) -> workflow_pb2.PauseWorkflowRunRequest:
    """Lets a workflow run stop at its next block boundary."""
    return workflow_pb2.PauseWorkflowRunRequest(
        workflow_run_id=found.workflow_run_id, as_of_sequence=found.last_sequence
    )


def resume_workflow_run(found: Run) -> workflow_pb2.ResumeWorkflowRunRequest:
    """Lets a workflow run go on."""
    return workflow_pb2.ResumeWorkflowRunRequest(
        workflow_run_id=found.workflow_run_id, as_of_sequence=found.last_sequence
    )


def rests(found: workflow_pb2.WorkflowRun) -> bool:
    """Whether a workflow run has come to rest at a block boundary."""
    return found.state == workflow_pb2.WORKFLOW_RUN_STATE_PAUSED


def get_workflow_run(found: Run) -> workflow_pb2.GetWorkflowRunRequest:
    """Asks how the workflow run stands."""
    return workflow_pb2.GetWorkflowRunRequest(workflow_run_id=found.workflow_run_id)


def cancel_challenges(found: Run) -> totp_pb2.CancelChallengesRequest:
    """Ends the run's waits for one-time codes."""
    return totp_pb2.CancelChallengesRequest(run_id=found.run_id)
