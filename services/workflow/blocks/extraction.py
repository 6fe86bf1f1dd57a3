"""extraction: reads data off the page."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from .contract import BrowserBlock, Params, TaskOrder, Text, Url


class ExtractionParams(Params):
    """Parameters of extraction."""

    instruction: Text = ""
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    url: Url | None = None

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if not self.instruction and not self.json_schema:
            raise ValueError("needs an instruction or a schema")
        return self


class Extraction(BrowserBlock):
    """Reads data off the page in the shape of a JSON schema."""

    kind = "extraction"
    summary = "Reads data off the page in the shape of a JSON schema."
    Params = ExtractionParams
    # A schema is full of braces of its own and is the same in every run.
    unrendered = frozenset({"schema"})

    def order(self, params: ExtractionParams) -> TaskOrder:
        """A task with an extraction."""
        wanted = {"instruction": params.instruction, "schema": params.json_schema}
        return TaskOrder(url=params.url or "", extraction=wanted)
