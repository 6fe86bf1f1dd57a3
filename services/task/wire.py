"""Tasks as protobuf, and requests as the domain has them. Pure functions."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import orjson
from google.protobuf import struct_pb2

from libs import errors, ids
from libs.wire import duration, plain, seconds, struct, timestamp, value
from podium.browser_session.v1 import browser_session_pb2 as session_pb
from podium.common.v1 import failure_pb2
from podium.task.v1 import task_pb2 as pb
from podium.totp.v1 import totp_pb2
from services.task import actions
from services.task.domain import (
    ActionRecord,
    ActionState,
    Done,
    ExtractionSpec,
    Failing,
    LoginSpec,
    Order,
    Spec,
    Task,
)
from services.task.ports import Artifact, Wanted
from services.task.schema import Step

DEFAULT_STEPS = 25
MOST_STEPS = 200
DEFAULT_TIMEOUT_S = 300.0
LONGEST_TIMEOUT_S = 3600.0
LONGEST_GOAL = 5_000
LARGEST_REQUEST = 1_048_576
MOST_AT_ONCE = 50
DEFAULT_AT_ONCE_S = 60.0
LONGEST_AT_ONCE_S = 120.0


def spec_of(request: pb.ExecuteTaskRequest) -> Spec:
    """What is asked for; Invalid names every field that is wrong."""
    raw = request.spec
    wrong: list[tuple[str, str]] = []
    if request.ByteSize() > LARGEST_REQUEST:
        raise errors.Invalid("spec", "must be at most 1 MiB")
    _check_request(request, wrong)
    listed = tuple(plain(action) for action in raw.actions)
    try:
        actions.parse_all(list(listed), "spec.actions")
        if raw.url:
            actions.parse({"kind": "goto", "url": raw.url}, "spec")
    except errors.Invalid as error:
        wrong += error.violations
    spec = Spec(
        url=raw.url,
        goal=raw.goal.strip(),
        actions=listed,
        login=_login(raw, wrong),
        extraction=_extraction(raw, wrong),
        credential_id=raw.credential_id,
        max_steps=raw.max_steps or DEFAULT_STEPS,
        timeout_s=_timeout_s(raw, wrong),
        screenshot_name=raw.screenshot_name,
        screenshot_full_page=raw.screenshot_full_page,
    )
    if wrong:
        raise errors.Invalid.many(wrong)
    return spec


def order_of(request: pb.ExecuteActionsRequest) -> Order:
    """What is to be done at once; Invalid names every field that is wrong."""
    wrong: list[tuple[str, str]] = []
    session_id = _id("browser_session_id", "bs", request.browser_session_id, wrong)
    if request.control_id:
        _id("control_id", "ctl", request.control_id, wrong)
    if request.credential_id:
        _id("credential_id", "cred", request.credential_id, wrong)
    if request.ByteSize() > LARGEST_REQUEST:
        raise errors.Invalid("actions", "must be at most 1 MiB")
    if not 0 < len(request.actions) <= MOST_AT_ONCE:
        wrong.append(("actions", f"must be 1 to {MOST_AT_ONCE}"))
    listed = [plain(one) for one in request.actions[:MOST_AT_ONCE]]
    steps: list[Step] = []
    timeout_s = DEFAULT_AT_ONCE_S
    try:
        steps = actions.parse_all(listed, "actions")
        if request.HasField("timeout"):
            timeout_s = seconds("timeout", request.timeout, most=LONGEST_AT_ONCE_S)
    except errors.Invalid as error:
        wrong += error.violations
    wrong += [
        (f"actions[{place}].kind", "ends a task; there is none here")
        for place, step in enumerate(steps)
        if actions.ends_task(step)
    ]
    if wrong:
        raise errors.Invalid.many(wrong)
    return Order(session_id, tuple(listed), request.control_id, request.credential_id, timeout_s)


def done(found: Done) -> pb.ExecuteActionsResponse:
    """What came of actions that were carried out at once."""
    return pb.ExecuteActionsResponse(
        actions=[action(record) for record in found.records],
        completed=found.completed,
        url=found.url,
        title=found.title,
    )


def _id(field: str, prefix: str, given: str, wrong: list[tuple[str, str]]) -> str:
    try:
        return ids.check(field, prefix, given)
    except errors.Invalid as error:
        wrong += error.violations
        return ""


def request_hash(spec: Spec) -> str:
    """A digest that tells whether two requests ask for the same.

    How long a task may take is not part of it: who asks again after a crash has less time left.
    """
    what = replace(spec, timeout_s=0.0)
    return hashlib.sha256(orjson.dumps(what, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _check_request(request: pb.ExecuteTaskRequest, wrong: list[tuple[str, str]]) -> None:
    spec = request.spec
    if not request.request_id or len(request.request_id) > 256:
        wrong.append(("request_id", "is required, at most 256 characters"))
    if len(request.block_path) > 512:
        wrong.append(("block_path", "must be at most 512 characters"))
    try:
        ids.check("browser_session_id", "bs", request.browser_session_id)
    except errors.Invalid as error:
        wrong += error.violations
    parts = (spec.url, spec.goal.strip(), spec.actions, spec.screenshot_name)
    if not any(parts) and not spec.HasField("login") and not spec.HasField("extraction"):
        wrong.append(("spec", "must say what to do: url, goal, actions, login or extraction"))
    if len(spec.goal) > LONGEST_GOAL:
        wrong.append(("spec.goal", f"must be at most {LONGEST_GOAL} characters"))
    if not 0 <= spec.max_steps <= MOST_STEPS:
        wrong.append(("spec.max_steps", f"must be 0 to {MOST_STEPS}"))
    if len(spec.credential_id) > 128:
        wrong.append(("spec.credential_id", "must be at most 128 characters"))
    if len(spec.screenshot_name) > 128 or "/" in spec.screenshot_name:
        wrong.append(("spec.screenshot_name", "must be a name of at most 128 characters, no path"))


def _login(raw: pb.TaskSpec, wrong: list[tuple[str, str]]) -> LoginSpec | None:
    if not raw.HasField("login"):
        return None
    if not raw.login.credential_id and not raw.credential_id:
        wrong.append(("spec.login.credential_id", "is required"))
    for name in ("credential_id", "totp_identifier", "success_text"):
        if len(getattr(raw.login, name)) > 500:
            wrong.append((f"spec.login.{name}", "must be at most 500 characters"))
    try:
        hosts = list(raw.login.link_hosts)
        actions.parse({"kind": "login", "link_hosts": hosts}, "spec.login")
    except errors.Invalid as error:
        wrong += error.violations
    return LoginSpec(
        raw.login.credential_id or raw.credential_id,
        raw.login.totp_identifier,
        raw.login.success_text,
        tuple(raw.login.link_hosts),
    )


def _extraction(raw: pb.TaskSpec, wrong: list[tuple[str, str]]) -> ExtractionSpec | None:
    if not raw.HasField("extraction"):
        return None
    wanted = None
    if raw.extraction.HasField("schema"):
        wanted = plain(raw.extraction.schema)
        wrong += actions.check_schema(wanted, "spec.extraction.schema")
    if len(raw.extraction.instruction) > LONGEST_GOAL:
        wrong.append(("spec.extraction.instruction", f"must be at most {LONGEST_GOAL} characters"))
    return ExtractionSpec(raw.extraction.instruction, wanted)


def _timeout_s(raw: pb.TaskSpec, wrong: list[tuple[str, str]]) -> float:
    if not raw.HasField("timeout"):
        return DEFAULT_TIMEOUT_S
    try:
        return seconds("spec.timeout", raw.timeout, most=LONGEST_TIMEOUT_S)
    except errors.Invalid as error:
        wrong += error.violations
        return DEFAULT_TIMEOUT_S


def task(found: Task, records: list[ActionRecord] | None = None) -> pb.Task:
    """A task as callers see it."""
    return pb.Task(
        task_id=found.task_id,
        run_id=found.run_id,
        workflow_run_id=found.workflow_run_id,
        block_path=found.block_path,
        state=f"TASK_STATE_{found.state.name}",
        spec=_spec(found.spec),
        browser_session_id=found.browser_session_id,
        actions=[action(record) for record in records or []],
        output=_value(found.output),
        artifacts=[pb.TaskArtifact(**kept) for kept in found.artifacts],
        failure=failure(found.failing, found.block_path),
        create_time=timestamp(found.created_at),
        start_time=timestamp(found.started_at),
        end_time=timestamp(found.ended_at),
    )


def action(record: ActionRecord) -> pb.Action:
    """An action as callers see it."""
    message = pb.Action(
        number=record.number,
        kind=record.kind,
        params=struct(record.params),
        planner=record.planner,
        output=_value(record.output),
        failure=failure(record.failing),
        start_time=timestamp(record.started_at),
        duration_ms=record.duration_ms,
    )
    if record.is_over:
        message.succeeded = record.state is ActionState.COMPLETED
    return message


def failure(found: Failing | None, block_path: str = "") -> failure_pb2.Failure | None:
    """Why something did not work."""
    if found is None:
        return None
    return failure_pb2.Failure(
        reason=found.reason,
        message=found.message,
        block_path=block_path,
        screenshot_artifact_id=found.screenshot_artifact_id,
        category=found.category,
    )


def action_kinds() -> list[pb.ActionKind]:
    """Every kind of action with its JSON Schema."""
    return [
        pb.ActionKind(
            kind=kind,
            summary=known.summary,
            schema=struct(known.shape.model_json_schema(by_alias=True)),
        )
        for kind, known in sorted(actions.ACTIONS.items())
    ]


def attach(browser_session_id: str, run_id: str) -> session_pb.AttachSessionRequest:
    """Asks browser_session for the way to the page."""
    return session_pb.AttachSessionRequest(browser_session_id=browser_session_id, run_id=run_id)


def attach_outside(browser_session_id: str, control_id: str) -> session_pb.AttachSessionRequest:
    """Asks for the way to the page on behalf of who holds its wheel."""
    return session_pb.AttachSessionRequest(
        browser_session_id=browser_session_id, control_id=control_id
    )


def get_session(browser_session_id: str) -> session_pb.GetSessionRequest:
    """Asks how a session stands."""
    return session_pb.GetSessionRequest(browser_session_id=browser_session_id)


def run_that_holds(found: session_pb.Session) -> str:
    """The run that a session is given to; empty when it is free."""
    return found.run_id if found.state == session_pb.SESSION_STATE_OCCUPIED else ""


def take_control(
    browser_session_id: str, holder: str, ttl_s: float
) -> session_pb.TakeControlRequest:
    """Asks for the wheel of a session."""
    return session_pb.TakeControlRequest(
        browser_session_id=browser_session_id, holder=holder, ttl=duration(ttl_s)
    )


def return_control(browser_session_id: str, control_id: str) -> session_pb.ReturnControlRequest:
    """Gives the wheel back."""
    return session_pb.ReturnControlRequest(
        browser_session_id=browser_session_id, control_id=control_id
    )


def screenshot(
    browser_session_id: str, name: str, full_page: bool
) -> session_pb.CaptureScreenshotRequest:
    """Asks browser_session for a picture."""
    return session_pb.CaptureScreenshotRequest(
        browser_session_id=browser_session_id, name=name, full_page=full_page
    )


def newest_artifact(browser_session_id: str) -> session_pb.ListArtifactsRequest:
    """Asks browser_session for the last file of a session."""
    return session_pb.ListArtifactsRequest(browser_session_id=browser_session_id, page_size=1)


def await_download(
    browser_session_id: str, after: str, wait_s: float
) -> session_pb.AwaitDownloadRequest:
    """Asks browser_session for the next download."""
    return session_pb.AwaitDownloadRequest(
        browser_session_id=browser_session_id, after_artifact_id=after, wait=duration(wait_s)
    )


def artifact(found: session_pb.Artifact) -> Artifact:
    """A file as the hands know it."""
    return Artifact(found.artifact_id, found.kind, found.name, found.size_bytes, found.sha256)


def get_artifact(artifact_id: str) -> session_pb.GetArtifactRequest:
    """Asks browser_session what a file is."""
    return session_pb.GetArtifactRequest(artifact_id=artifact_id)


def artifact_content(artifact_id: str) -> session_pb.GetArtifactContentRequest:
    """Asks browser_session for the bytes of a file."""
    return session_pb.GetArtifactContentRequest(artifact_id=artifact_id)


def resolve(credential_id: str) -> totp_pb2.ResolveCredentialRequest:
    """Asks totp for user name and password."""
    return totp_pb2.ResolveCredentialRequest(credential_id=credential_id)


def open_challenge(wanted: Wanted) -> totp_pb2.OpenChallengeRequest:
    """Asks totp to begin to wait for a code."""
    return totp_pb2.OpenChallengeRequest(
        request_id=wanted.request_id,
        credential_id=wanted.credential_id,
        identifier=wanted.identifier,
        timeout=duration(wanted.timeout_s),
        link_hosts=wanted.link_hosts,
    )


def claim_code(challenge_id: str, wait_s: float) -> totp_pb2.ClaimCodeRequest:
    """Asks totp for the code."""
    return totp_pb2.ClaimCodeRequest(challenge_id=challenge_id, wait=duration(wait_s))


def reject_code(challenge_id: str) -> totp_pb2.RejectCodeRequest:
    """Tells totp that the site refused the code."""
    return totp_pb2.RejectCodeRequest(challenge_id=challenge_id)


def _spec(spec: Spec) -> pb.TaskSpec:
    message = pb.TaskSpec(
        url=spec.url,
        goal=spec.goal,
        actions=[struct(raw) for raw in spec.actions],
        credential_id=spec.credential_id,
        max_steps=spec.max_steps,
        timeout=duration(spec.timeout_s),
        screenshot_name=spec.screenshot_name,
        screenshot_full_page=spec.screenshot_full_page,
    )
    if spec.login is not None:
        message.login.credential_id = spec.login.credential_id
        message.login.totp_identifier = spec.login.totp_identifier
        message.login.success_text = spec.login.success_text
        message.login.link_hosts.extend(spec.login.link_hosts)
    if spec.extraction is not None:
        message.extraction.instruction = spec.extraction.instruction
        if spec.extraction.schema is not None:
            message.extraction.schema.update(spec.extraction.schema)
    return message


def _value(data: Any) -> struct_pb2.Value | None:
    return None if data is None else value(data)
