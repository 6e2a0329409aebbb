"""What the engine says during one run, gathered: its steps as they come, and what they add up to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pulumi.automation.events import DiagnosticEvent, EngineEvent, OpType, StepEventMetadata

from gitops_run.model.stack.events import Phase, ResourceStep, StackEvent, StackNotice
from gitops_run.model.text.echoes import without_echo
from gitops_run.model.text.masking import Masker

_STACK_TYPE: Final = "pulumi:pulumi:Stack"
_INTERNAL: Final = "pulumi:"
"""The stack itself and providers: nothing of theirs is anywhere but in the state."""
_PENDING: Final = "pending operations from previous deployment"
_COLOR: Final = re.compile(r"<\{%[^%]*%\}>")
_UNCHANGED: Final = frozenset({OpType.SAME, OpType.READ, OpType.REFRESH})


@dataclass(slots=True, kw_only=True)
class Report:
    """Gather one run's events, and pass the steps on.

    `tell` is called from the engine's thread. masker: knows the values that are given to Pulumi.
    """

    stack: str
    tell: Callable[[StackEvent], None]
    masker: Masker = field(default_factory=Masker)
    outputs: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    changed: int = 0
    has_pending: bool = False
    troubles: set[str] = field(default_factory=set)

    def take(self, event: EngineEvent) -> None:
        """Take one event."""
        if event.resource_pre_event and event.resource_pre_event.metadata.op not in _UNCHANGED:
            self._step(event.resource_pre_event.metadata, "started")
        if event.res_outputs_event:
            self._done(event.res_outputs_event.metadata)
        if event.res_op_failed_event:
            self._step(event.res_op_failed_event.metadata, "failed")
        if event.diagnostic_event:
            self._said(event.diagnostic_event)

    def _said(self, diagnostic: DiagnosticEvent) -> None:
        if diagnostic.severity == "error":
            self.errors.append(self.masker.mask(without_echo(diagnostic.message)))
        self.has_pending |= _PENDING in diagnostic.message
        if diagnostic.severity == "warning" and diagnostic.ephemeral:
            text = self.masker.mask(_COLOR.sub("", diagnostic.message).strip())
            if text not in self.troubles:
                self.troubles.add(text)
                self.tell(StackNotice(text=text))

    def _done(self, step: StepEventMetadata) -> None:
        if step.type == _STACK_TYPE:
            found = step.new.outputs if step.new else None
            self.outputs = {key: str(value) for key, value in (found or {}).items()}
        elif step.op not in _UNCHANGED and not step.type.startswith(_INTERNAL):
            self.changed += 1
            self._step(step, "done")

    def _step(self, step: StepEventMetadata, phase: Phase) -> None:
        if step.type.startswith(_INTERNAL):
            return
        name, kind = step.urn.rpartition("::")[2], step.type.rpartition(":")[2]
        self.tell(ResourceStep(resource=name, kind=kind, operation=step.op.value, phase=phase))
