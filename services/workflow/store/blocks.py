"""Block runs: the SQL on them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from libs.db import Tx
from services.workflow.domain import BlockRun, BlockState, Failure, WorkflowRun

from .schema import block_runs


def begin_block(tx: Tx, run: WorkflowRun, sequence: int, block: BlockRun) -> None:
    """Writes the beginning of a block, or a block that was skipped."""
    row = {
        "workflow_run_id": run.workflow_run_id,
        "organization_id": run.organization_id,
        "sequence": sequence,
        "block_path": block.block_path,
        "attempt": block.attempt,
        "kind": block.kind,
        "label": block.label,
        "plan": block.plan,
        "started_at": block.started_at,
        **_changing(block),
    }
    tx.insert(block_runs, row)


def update_block(tx: Tx, run: WorkflowRun, block: BlockRun) -> None:
    """Writes the end of a block."""
    open_block = {
        "workflow_run_id": run.workflow_run_id,
        "organization_id": run.organization_id,
        "block_path": block.block_path,
        "attempt": block.attempt,
        "state": BlockState.RUNNING,
    }
    tx.update(block_runs, open_block, **_changing(block))


def excuse_pause(tx: Tx, organization_id: str, workflow_run_id: str, paused: timedelta) -> None:
    """Gives the blocks that are open, which are loops and the like, the time of a pause back."""
    tx.execute(
        sa.update(block_runs)
        .where(
            block_runs.c.workflow_run_id == workflow_run_id,
            block_runs.c.organization_id == organization_id,
            block_runs.c.state == BlockState.RUNNING,
        )
        .values(paused_ms=block_runs.c.paused_ms + paused // timedelta(milliseconds=1))
    )


def _changing(block: BlockRun) -> dict[str, Any]:
    return {
        "state": block.state,
        "output": block.output,
        "summary": block.summary,
        "failure": block.failure.as_dict() if block.failure else None,
        "will_retry": block.will_retry,
        "task_id": block.task_id,
        "artifacts": block.artifacts,
        "ended_at": block.ended_at,
    }


def blocks_of(tx: Tx, organization_id: str, workflow_run_id: str) -> list[BlockRun]:
    """The block runs of a workflow run in the order in which they began."""
    mine = {"organization_id": organization_id, "workflow_run_id": workflow_run_id}
    return [
        BlockRun(
            block_path=row.block_path,
            attempt=row.attempt,
            kind=row.kind,
            label=row.label,
            state=BlockState(row.state),
            plan=row.plan,
            output=row.output,
            summary=row.summary,
            failure=Failure.of(row.failure),
            will_retry=row.will_retry,
            task_id=row.task_id,
            artifacts=row.artifacts,
            started_at=row.started_at,
            ended_at=row.ended_at,
            paused_ms=row.paused_ms,
        )
        for row in tx.select(block_runs, "sequence", **mine)
    ]
