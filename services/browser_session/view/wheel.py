"""The wheel of a session: while a person holds it, the agent waits.

An agent asks between two actions whether it may go on (`Podium.awaitWheel`) and is answered when
nobody holds the wheel. A person who takes it lets the action that is under way come to its end, for
a moment; from then on whatever the agent says that acts in a page is kept back until the wheel is
free again. What only looks or listens goes on, or the driver would lose track of its pages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from libs.clock import Clock

Say = Callable[[str], Awaitable[None]]
# An action is a burst of commands; after such a silence it has come to its end.
QUIET_S = 0.3
LONGEST_ACTION_S = 2.0
LOOK_AGAIN_S = 0.02


@dataclass(eq=False)
class AgentLine:
    """One connection of an agent, and what waits on it."""

    forward: Say
    reply: Say
    kept_back: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)


class Wheel:
    """Who may act in a session's pages."""

    def __init__(self, clock: Clock) -> None:
        self.control_id = ""
        """Who holds it; empty when the agent may act."""
        self._clock = clock
        self._is_closed = False
        self._agents: set[AgentLine] = set()
        self._acted_at = -QUIET_S

    @property
    def agent_rests(self) -> bool:
        """Whether every agent has come to the end of an action and waits."""
        return all(line.unanswered for line in self._agents)

    def join(self, line: AgentLine) -> None:
        """An agent connects."""
        self._agents.add(line)

    def leave(self, line: AgentLine) -> None:
        """An agent is gone."""
        self._agents.discard(line)

    async def act(self, line: AgentLine, command: str) -> None:
        """Passes on what an agent does, or keeps it back."""
        if self._is_closed:
            line.kept_back.append(command)
            return
        self._acted_at = self._clock.monotonic()
        await line.forward(command)

    async def rest(self, line: AgentLine, answer: str) -> None:
        """Answers an agent between two actions, when nobody holds the wheel."""
        if self.control_id:
            line.unanswered.append(answer)
        else:
            await line.reply(answer)

    def take(self, control_id: str) -> None:
        """Gives the wheel to a person; what is under way goes on until it is settled."""
        self.control_id = control_id

    async def settle(self) -> None:
        """Returns when the agent rests, or is kept back."""
        deadline = self._clock.monotonic() + LONGEST_ACTION_S
        while not self.agent_rests and self._clock.monotonic() < deadline:
            if self._clock.monotonic() - self._acted_at >= QUIET_S:
                break
            await self._clock.sleep(LOOK_AGAIN_S)
        self._is_closed = bool(self.control_id)

    async def free(self) -> None:
        """Lets the agent go on where it was stopped."""
        self.control_id = ""
        self._is_closed = False
        for line in list(self._agents):
            await _release(line)


async def _release(line: AgentLine) -> None:
    kept_back, line.kept_back = line.kept_back, []
    unanswered, line.unanswered = line.unanswered, []
    try:
        for command in kept_back:
            await line.forward(command)
        for answer in unanswered:
            await line.reply(answer)
    except ConnectionError:
        # It left in the meantime; its socket tells the others.
        return
