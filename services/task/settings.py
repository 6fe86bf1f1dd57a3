"""The task service's own settings: the model behind the LLM planner."""

from __future__ import annotations

from pydantic import Field, SecretStr

from libs.settings import Settings


class TaskSettings(Settings):
    """PODIUM_LLM_*: any OpenAI-compatible endpoint; without one, rules alone plan goals."""

    llm_base_url: str = Field("", description="such as http://127.0.0.1:11434/v1; empty: no model")
    llm_api_key: SecretStr = SecretStr("")
    llm_model: str = ""
    task_concurrency: int = Field(16, ge=1, description="tasks carried out at once by a replica")
