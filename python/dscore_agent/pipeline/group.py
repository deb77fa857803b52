"""Several pipelines under one agent: they start, are stopped and answered for together."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

from dscore_agent.events import Kind
from dscore_agent.pipeline.binding import PipelineBinding
from dscore_agent.termination import ERROR, OK, TerminateAnswer, TerminateRequest


class PipelineGroup:
    """What an agent needs of a pipeline, for any number of them."""

    def __init__(self, bindings: Sequence[PipelineBinding]) -> None:
        self._bindings = bindings

    async def start(self) -> None:
        """Starts every binding. See `PipelineBinding.start`."""
        for binding in self._bindings:
            await binding.start()

    async def close(self) -> None:
        """Leaves every pipeline as it is."""
        for binding in self._bindings:
            await binding.close()

    def report_to(self, send: Callable[[dict[str, Any]], object], kinds: Collection[Kind]) -> None:
        """From now on tells the server of events of these kinds."""
        for binding in self._bindings:
            binding.report_to(send, kinds)

    async def on_terminate(self, request: TerminateRequest) -> TerminateAnswer:
        """Stops all of them side by side: one that hangs takes no time of another one's."""
        asking = (binding.on_terminate(request) for binding in self._bindings)
        answers = await asyncio.gather(*asking)
        if len(answers) == 1:
            return answers[0]
        names = (binding.pipeline.get_name() for binding in self._bindings)
        return TerminateAnswer(
            status=OK if all(answer.is_ok for answer in answers) else ERROR,
            message="; ".join(
                f"{name}: {answer.message}" for name, answer in zip(names, answers, strict=True)
            ),
            complete=all(answer.complete for answer in answers),
        )
