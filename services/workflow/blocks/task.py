"""task: a goal in plain words that is planned into as many steps as it takes."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AliasChoices, Field, model_validator

from .action import Action
from .contract import OR_TEMPLATE, BrowserBlock, Params, TaskOrder, Text, Url, Words


class TaskParams(Params):
    """Parameters of task: the public words of a single task."""

    url: Url | None = None
    goal: Text = ""
    actions: list[Action] = Field(default=[], max_length=100)
    instruction: Text = ""
    # "extraction_schema" is the word of a run's single task, "schema" that of an extraction block.
    json_schema: dict[str, Any] | None = Field(
        default=None, validation_alias=AliasChoices("schema", "extraction_schema")
    )
    credential_id: Words | None = None
    totp_identifier: Text = ""
    max_steps: Annotated[int, Field(ge=1, le=200), OR_TEMPLATE] = 25
    screenshot: Text = ""

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if not (self.url or self.goal or self.actions or self.instruction or self.json_schema):
            raise ValueError("needs at least one of url, goal, actions, instruction, schema")
        if self.totp_identifier and not self.credential_id:
            raise ValueError("totp_identifier needs a credential_id")
        return self


class Task(BrowserBlock):
    """Reaches a goal in plain words, step by step."""

    kind = "task"
    summary = "Reaches a goal given in plain words, and reads data if asked to."
    Params = TaskParams
    unrendered = frozenset({"schema", "extraction_schema"})

    def order(self, params: TaskParams) -> TaskOrder:
        """A task with everything that was given."""
        wanted = None
        if params.instruction or params.json_schema:
            wanted = {"instruction": params.instruction, "schema": params.json_schema}
        login = None
        if params.totp_identifier:
            login = {
                "credential_id": params.credential_id or "",
                "totp_identifier": params.totp_identifier,
                "success_text": "",
            }
        return TaskOrder(
            url=params.url or "",
            goal=params.goal,
            actions=tuple(params.actions),
            login=login,
            extraction=wanted,
            credential_id=params.credential_id or "",
            max_steps=params.max_steps,
            screenshot_name=params.screenshot,
        )
