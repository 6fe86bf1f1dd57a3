"""Domain ↔ protobuf, pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from google.protobuf import duration_pb2, struct_pb2, timestamp_pb2

from podium.common.v1 import failure_pb2
from podium.task.v1 import task_pb2
from podium.workflow.v1 import workflow_pb2 as pb

from .blocks.contract import Block, BlockContext, TaskOrder
from .document import Definition, params_schema
from .domain import BlockRun, Failure, TaskEnd, Version, WorkflowRun, size_of
from .parameters import schema_of

_TASK_STATES = {
    task_pb2.TASK_STATE_COMPLETED: "completed",
    task_pb2.TASK_STATE_FAILED: "failed",
    task_pb2.TASK_STATE_TERMINATED: "terminated",
    task_pb2.TASK_STATE_CANCELED: "canceled",
    task_pb2.TASK_STATE_TIMED_OUT: "timed_out",
}
# A message may have 4 MiB; the run's own output takes up to one of them.
LARGEST_BLOCKS_BYTES = 2_800 * 1024
# Kept for the blocks that come after those with large outputs.
SPARED_BYTES = 1_000 * 1024


# Plain values


def plain(value: struct_pb2.Value) -> Any:
    """A JSON value; whole numbers come back as integers."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return plain_struct(value.struct_value)
    if kind == "list_value":
        return [plain(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) <= 2**53 else number
    return None if kind in (None, "null_value") else getattr(value, kind)


def plain_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    """A JSON object."""
    return {key: plain(value) for key, value in struct.fields.items()}


def struct(value: Mapping[str, Any]) -> struct_pb2.Struct:
    """A message of a JSON object."""
    packed = struct_pb2.Struct()
    for key, item in value.items():
        _fill(packed.fields[key], item)
    return packed


def _fill(target: struct_pb2.Value, value: Any) -> None:
    if value is None:
        target.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, Mapping):
        target.struct_value.SetInParent()
        for key, item in value.items():
            _fill(target.struct_value.fields[key], item)
    else:
        target.list_value.SetInParent()
        for item in value:
            _fill(target.list_value.values.add(), item)


def _moment(moment: datetime | None) -> timestamp_pb2.Timestamp | None:
    if moment is None:
        return None
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _failure(failure: Failure | None) -> failure_pb2.Failure | None:
    return None if failure is None else failure_pb2.Failure(**failure.as_dict())


# Answers


def workflow(version: Version, definition: Definition) -> pb.Workflow:
    """One version of a workflow."""
    return pb.Workflow(
        workflow_id=version.workflow_id,
        name=version.name,
        title=definition.title,
        description=definition.description,
        version=version.version,
        document=struct(version.document),
        parameters_schema=struct(schema_of(definition.parameters)),
        needs_browser=definition.needs_browser,
        etag=version.etag,
        create_time=_moment(version.created_at),
        update_time=_moment(version.updated_at),
    )


def workflow_run(run: WorkflowRun, blocks: list[BlockRun] | None = None) -> pb.WorkflowRun:
    """A workflow run, with its blocks if they are given."""
    return pb.WorkflowRun(
        workflow_run_id=run.workflow_run_id,
        run_id=run.run_id,
        workflow_id=run.workflow_id,
        workflow_version=run.version,
        title=run.title,
        state=f"WORKFLOW_RUN_STATE_{run.state.upper()}",
        needs_browser=run.needs_browser,
        browser_session_id=run.browser_session_id,
        blocks=_fitting(blocks or []),
        output=None if run.output is None else struct(run.output),
        failure=_failure(run.failure),
        create_time=_moment(run.created_at),
        start_time=_moment(run.started_at),
        end_time=_moment(run.ended_at),
        pause_requested=run.pause_requested and not run.is_over,
    )


def _fitting(blocks: list[BlockRun]) -> list[pb.BlockRun]:
    """The blocks as far as one message can carry them: outputs give way before blocks do."""
    messages: list[pb.BlockRun] = []
    room = LARGEST_BLOCKS_BYTES
    for block in blocks:
        message = block_run(block)
        if message.ByteSize() > room - SPARED_BYTES and message.HasField("output"):
            told = {"truncated": True, "bytes": size_of(block.output)}
            message.output.struct_value.CopyFrom(struct(told))
        room -= message.ByteSize()
        if room < 0:
            break
        messages.append(message)
    return messages


def block_run(block: BlockRun) -> pb.BlockRun:
    """One attempt at one block."""
    message = pb.BlockRun(
        block_path=block.block_path,
        kind=block.kind,
        label=block.label,
        state=f"BLOCK_RUN_STATE_{block.state.upper()}",
        attempt=block.attempt,
        failure=_failure(block.failure),
        task_id=block.task_id,
        start_time=_moment(block.started_at),
        end_time=_moment(block.ended_at),
    )
    if block.output is not None:
        _fill(message.output, block.output)
    return message


def block_kind(block: Block) -> pb.BlockKind:
    """One kind of block."""
    return pb.BlockKind(
        kind=block.kind,
        summary=block.summary,
        needs_browser=block.needs_browser,
        params_schema=struct(params_schema(block)),
    )


# Tasks


def execute_request(order: TaskOrder, context: BlockContext) -> task_pb2.ExecuteTaskRequest:
    """What is asked of the task service for one attempt at one block."""
    timeout = duration_pb2.Duration()
    timeout.FromMilliseconds(max(1, round(context.timeout_s * 1000)))
    spec = task_pb2.TaskSpec(
        url=order.url,
        goal=order.goal,
        actions=[struct(action) for action in order.actions],
        credential_id=order.credential_id,
        max_steps=order.max_steps,
        timeout=timeout,
        screenshot_name=order.screenshot_name,
        screenshot_full_page=order.screenshot_full_page,
    )
    if order.login is not None:
        spec.login.CopyFrom(task_pb2.Login(**order.login))
    if order.extraction is not None:
        spec.extraction.instruction = order.extraction.get("instruction") or ""
        if order.extraction.get("schema") is not None:
            spec.extraction.schema.CopyFrom(struct(order.extraction["schema"]))
    return task_pb2.ExecuteTaskRequest(
        request_id=context.step_key,
        block_path=context.block_path,
        spec=spec,
        browser_session_id=context.browser_session_id,
    )


def cancel_request(step_key: str, reason: str) -> task_pb2.CancelTaskRequest:
    """Asks for the task of a step to stop."""
    return task_pb2.CancelTaskRequest(request_id=step_key, reason=reason)


def started_task(response: task_pb2.ExecuteTaskResponse) -> str:
    """The id of the task, from the first message of its stream."""
    return response.started.task_id if response.WhichOneof("update") == "started" else ""


def task_end(response: task_pb2.ExecuteTaskResponse) -> TaskEnd | None:
    """How the task ended, from the last message of its stream."""
    if response.WhichOneof("update") != "finished":
        return None
    task = response.finished
    failure = None
    if task.HasField("failure"):
        failure = Failure(
            reason=task.failure.reason,
            message=task.failure.message,
            screenshot_artifact_id=task.failure.screenshot_artifact_id,
            category=task.failure.category or "business",
        )
    return TaskEnd(
        task_id=task.task_id,
        state=_TASK_STATES.get(task.state, "failed"),
        output=plain(task.output) if task.HasField("output") else None,
        artifacts=tuple(
            {
                "artifact_id": artifact.artifact_id,
                "kind": artifact.kind,
                "name": artifact.name,
                "size_bytes": artifact.size_bytes,
                "sha256": artifact.sha256,
            }
            for artifact in task.artifacts
        ),
        actions=len(task.actions),
        failure=failure,
    )
