"""A block's parameters when its turn has come: templates replaced, checked once more."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from . import templates
from .blocks.contract import RENDERED, BlockFailed
from .document import Step
from .wording import said


def misread(why: str) -> BlockFailed:
    """A template that makes no sense with the values there are."""
    return BlockFailed("TEMPLATE_FAILED", why, category="configuration")


def rendered_params(step: Step, values: dict[str, Any]) -> Any:
    """The parameters with their templates replaced, checked once more."""
    block = step.block
    try:
        rendered = {
            key: value
            if key in block.unrendered
            else templates.render_deep(value, values, f"params.{key}")
            for key, value in step.written.params.items()
        }
        return block.Params.model_validate(rendered, context=RENDERED)
    except templates.TemplateError as error:
        raise misread(str(error)) from None
    except ValidationError as error:
        wrong = [f"params.{place}: {why}" for place, why in said(error, block.Params)]
        raise BlockFailed(
            "INVALID_PARAMS", "; ".join(wrong[:5]), category="configuration"
        ) from None
