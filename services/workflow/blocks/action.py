"""action: explicit actions in the page, or one goal in plain words."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from .contract import BrowserBlock, Params, TaskOrder, Text, Url, Words


def _has_kind(action: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(action.get("kind"), str) or not action["kind"]:
        raise ValueError("needs a kind, such as click; GET /v1/action_kinds lists them")
    return action


Action = Annotated[
    dict[str, Any],
    AfterValidator(_has_kind),
    WithJsonSchema(
        {"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string"}}}
    ),
]


class ActionParams(Params):
    """Parameters of action."""

    url: Url | None = None
    goal: Text = ""
    actions: list[Action] = Field(default=[], max_length=100)
    credential_id: Words | None = None

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if bool(self.goal) == bool(self.actions):
            raise ValueError("needs either actions or a goal")
        return self


class ActionBlock(BrowserBlock):
    """Acts in the page: clicks, fills, selects, …"""

    kind = "action"
    summary = "Acts in the page: a list of explicit actions, or one goal in plain words."
    Params = ActionParams

    def order(self, params: ActionParams) -> TaskOrder:
        """A task with the actions, or with the goal and a single page's worth of steps."""
        return TaskOrder(
            url=params.url or "",
            goal=params.goal,
            actions=tuple(params.actions),
            credential_id=params.credential_id or "",
        )
