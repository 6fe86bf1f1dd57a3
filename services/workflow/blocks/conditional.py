"""conditional: runs the blocks of the first branch whose condition holds."""

from __future__ import annotations

from pydantic import Field

from .contract import (
    Block,
    BlockContext,
    Condition,
    Nested,
    NestedBlocks,
    Outcome,
    Params,
    Planning,
)


class Branch(Params):
    """A further branch."""

    condition: Condition = Field(alias="if")
    then: NestedBlocks


class ConditionalParams(Params):
    """Parameters of conditional."""

    condition: Condition = Field(alias="if")
    then: NestedBlocks
    others: list[Branch] = Field(default=[], alias="elif", max_length=50)
    otherwise: NestedBlocks | None = Field(default=None, alias="else")


class Conditional(Block):
    """Runs the blocks of the first branch whose condition holds."""

    kind = "conditional"
    summary = "Runs the blocks of the first branch whose condition holds: if, elif, else."
    Params = ConditionalParams
    is_container = True
    resumes_itself = True
    default_timeout_s = 24 * 3600.0
    unrendered = frozenset({"if", "then", "elif", "else"})

    def nested(self, params: ConditionalParams) -> list[Nested]:
        """One branch for `then`, each `elif` and `else`."""
        found = [Nested("then", "then", params.then)]
        for at, branch in enumerate(params.others):
            found.append(Nested(f"elif[{at}].then", f"elif_{at}", branch.then))
        if params.otherwise is not None:
            found.append(Nested("else", "else", params.otherwise))
        return found

    def conditions(self, params: ConditionalParams) -> list[tuple[str, str]]:
        """The conditions of `if` and each `elif`."""
        return [("if", params.condition)] + [
            (f"elif[{at}].if", branch.condition) for at, branch in enumerate(params.others)
        ]

    def plan(self, params: ConditionalParams, planning: Planning) -> str:
        """The branch that is taken; empty when none is."""
        if planning.holds(params.condition):
            return "then"
        for at, branch in enumerate(params.others):
            if planning.holds(branch.condition):
                return f"elif_{at}"
        return "else" if params.otherwise is not None else ""

    async def run(self, _params: ConditionalParams, context: BlockContext) -> Outcome:
        """The outputs of the branch's blocks by label."""
        if not context.plan:
            return Outcome({}, "no branch taken")
        outputs = await context.sequence(context.plan, "", {})
        return Outcome(outputs, f"took the branch {context.plan}")
