"""for_loop: runs its blocks once for each item of a list, one after the other."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from .contract import (
    OR_TEMPLATE,
    Block,
    BlockContext,
    Nested,
    NestedBlocks,
    Outcome,
    Params,
    Planning,
)

MAX_ITERATIONS = 1_000


class ForLoopParams(Params):
    """Parameters of for_loop."""

    items: Annotated[list[Any], Field(max_length=MAX_ITERATIONS), OR_TEMPLATE]
    item_name: str = Field(default="item", pattern=r"^[a-z][a-z0-9_]{0,39}$")
    blocks: NestedBlocks


class ForLoop(Block):
    """Runs its blocks once for each item."""

    kind = "for_loop"
    summary = "Runs its blocks once for each item of a list, one after the other."
    Params = ForLoopParams
    is_container = True
    resumes_itself = True
    default_timeout_s = 24 * 3600.0
    unrendered = frozenset({"blocks", "item_name"})

    def nested(self, params: ForLoopParams) -> list[Nested]:
        """One branch, in which the item and its position have names."""
        names = frozenset({params.item_name, "index"})
        return [Nested("blocks", "blocks", params.blocks, names)]

    def plan(self, params: ForLoopParams, _planning: Planning) -> list[Any]:
        """The items, so that a resumed loop goes through the same ones."""
        return params.items

    async def run(self, params: ForLoopParams, context: BlockContext) -> Outcome:
        """The outputs of the blocks by label, for each item."""
        outputs = []
        for index, item in enumerate(context.plan):
            names = {params.item_name: item, "index": index}
            outputs.append(await context.sequence("blocks", str(index), names))
        return Outcome(outputs, f"went through {len(outputs)} items")
