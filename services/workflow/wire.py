"""Domain ↔ protobuf, pure functions."""

from __future__ import annotations

from libs.wire import duration, plain, struct, timestamp, value
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
        create_time=timestamp(version.created_at),
        update_time=timestamp(version.updated_at),
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
        create_time=timestamp(run.created_at),
        start_time=timestamp(run.started_at),
        end_time=timestamp(run.ended_at),
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
    return pb.BlockRun(
        block_path=block.block_path,
        kind=block.kind,
        label=block.label,
        state=f"BLOCK_RUN_STATE_{block.state.upper()}",
        attempt=block.attempt,
        failure=_failure(block.failure),
        task_id=block.task_id,
        start_time=timestamp(block.started_at),
        end_time=timestamp(block.ended_at),
        output=None if block.output is None else value(block.output),
    )


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
    spec = task_pb2.TaskSpec(
        url=order.url,
        goal=order.goal,
        actions=[struct(action) for action in order.actions],
        credential_id=order.credential_id,
        max_steps=order.max_steps,
        timeout=duration(max(0.001, context.timeout_s)),
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
