"""Try one target through the command line and real Flux, and say what the preview had wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
import yaml

from gitops_run.adapters.files import WorkTree
from gitops_run.adapters.render.kubectl import Kustomize
from gitops_run.model.objects.identity import ObjectRef, RenderedObject, parse_document, split_documents
from gitops_run.model.text.problem import Problem
from tests.corpus.applied import departures, owned_by_flux
from tests.people import Person, Running

KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
PATIENCE_S = 180.0
ENDS = "save_applied|save_broken|save_failed|objects_awaited"
EDITED = 2
"""Objects of each target that are edited one by one: each costs a command."""
OVERLAYS = "corpus"
_HASHED = re.compile(r"-[2456789bcdfghkmt]{10}$")
_VERSION = re.compile(r"[+_][0-9a-f]{12}")


def is_chart(folder: Path) -> bool:
    return (folder / "Chart.yaml").exists() and not any((folder / name).exists() for name in KUSTOMIZATIONS)


def tried(person: Person, name: str, root: Path, targets: Sequence[str]) -> Iterator[Outcome]:
    """Try targets of a root one after another: charts each in a session of its own, the others in one.

    name: what the sessions' names begin with. root: is changed.
    """
    charts = [target for target in targets if is_chart(root / target)]
    for index, chart in enumerate(charts):
        session = Session(
            person, f"{name}-{index}", root, root.with_name(f"{name}-{index}-work"), is_chart=True
        )
        with session.made(chart):
            yield _finished(Trial(session, chart))
    others = [target for target in targets if target not in charts]
    if others:
        session = Session(person, name, root, root.with_name(f"{name}-work"))
        with session.made(others[0]):
            for target in others:
                fitting = session.fitting(target)
                session.give(fitting)
                yield _finished(Trial(session, fitting))


def _finished(trial: Trial) -> Outcome:
    try:
        return trial.run()
    except Exception as error:  # noqa: BLE001 - one target's failure must not end the others
        return Outcome(trial.target, "unfinished", f"{type(error).__name__}: {error}")


UNFIT: Final = {
    "Namespace": "v1",
    "ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
    "MutatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
    "APIService": "apiregistration.k8s.io/v1",
}
"""Kinds that are left out of a target, with their versions."""
LEFT_TO_FLUX: Final = "Flux fetches its dependency"
"""What is said of a chart that only Flux can render; whether Flux reaches the repository is the network's."""


@dataclass
class Outcome:
    """What came of a target. verdict: applied, refused or failed, and why. faults: by their kinds."""

    target: str
    verdict: str = ""
    reason: str = ""
    objects: int = 0
    not_checked: list[str] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=dict)

    def blame(self, kind: str, *texts: str) -> None:
        if texts:
            self.faults.setdefault(kind, []).extend(texts)


@dataclass(frozen=True)
class Session:
    """A session with every right in the cluster, which is given one target after another.

    What it applied of one goes when it applies the next. root: may be changed. work: a folder for copies.
    """

    person: Person
    name: str
    root: Path
    work: Path
    is_chart: bool = False

    @property
    def namespace(self) -> str:
        return f"run-{self.name}"

    @contextmanager
    def made(self, target: str) -> Iterator[None]:
        """Make it, and let Flux remove in the end what it has applied."""
        place = (str(self.root / target), "--root", str(self.root))
        finished = self.person.types("up", self.name, *place, timeout_s=PATIENCE_S)
        assert finished.code == 0, finished.err
        binding = ("clusterrolebinding", self.name)
        account = f"--serviceaccount={self.namespace}:flux-run"
        self.person.kubectl("create", *binding, "--clusterrole=cluster-admin", account)
        try:
            yield
        finally:
            kind = "helmreleases.helm" if self.is_chart else "kustomizations.kustomize"
            flux = ("delete", f"{kind}.toolkit.fluxcd.io", self.name, "-n", self.namespace, "--timeout=60s")
            self.person.kubectl(*flux, timeout_s=PATIENCE_S)
            self.person.kubectl("delete", "--wait=false", "namespace", self.namespace)
            self.person.kubectl("delete", *binding)

    def give(self, target: str) -> None:
        """Let a kustomization's session apply another target, as the maker of sessions can."""
        place = (self.name, "-n", self.namespace)
        bucket = ("buckets.source.toolkit.fluxcd.io", *place, f"gitops-run.dev/target={target}")
        self.person.kubectl("annotate", *bucket, "--overwrite")
        path = json.dumps({"spec": {"path": f"./src/{target}"}})
        kind = "kustomizations.kustomize.toolkit.fluxcd.io"
        self.person.kubectl("patch", kind, *place, "--type=merge", "-p", path)

    def render(self, target: str) -> str | Problem:
        snapshot = anyio.run(WorkTree(self.root, self.work / "stage", target).snapshot)
        if snapshot.problems:
            return snapshot.problems[0]
        return anyio.run(Kustomize(self.namespace, self.work / "render").render, snapshot, target)

    def fitting(self, target: str) -> str:
        """Name a target without some kinds: the one that is given, or an overlay of it without them.

        kustomize gives every Namespace the session's name, and a session never applies its own namespace.
        Webhooks and API services concern all of the cluster, and the pods that answer are only simulated.
        """
        rendered = self.render(target)
        found = (
            () if isinstance(rendered, Problem) else [k for k in UNFIT if f"\nkind: {k}\n" in f"\n{rendered}"]
        )
        if not found:
            return target
        overlay = f"{OVERLAYS}/{target.replace('/', '-')}"
        (self.root / overlay).mkdir(parents=True)
        patches = [{"target": {"kind": kind}, "patch": _deletion(kind)} for kind in found]
        text = yaml.safe_dump({"resources": [f"../../{target}"], "patches": patches})
        (self.root / overlay / "kustomization.yaml").write_text(text)
        return overlay


def _deletion(kind: str) -> str:
    return json.dumps(
        {"apiVersion": UNFIT[kind], "kind": kind, "metadata": {"name": "any"}, "$patch": "delete"}
    )


@dataclass(frozen=True)
class Trial:
    """A target in a session that applies it. The target is as it was in the end."""

    session: Session
    target: str

    @property
    def _kustomization(self) -> Path:
        found = [self.session.root / self.target / name for name in KUSTOMIZATIONS]
        return next((file for file in found if file.exists()), found[0])

    def run(self) -> Outcome:
        outcome = Outcome(self.target)
        with self._syncing() as sync:
            ended = sync.tells(ENDS, PATIENCE_S)
        outcome.verdict = ended["type"]
        if ended["type"] == "save_broken":
            self._judge_refusal(outcome, ended["problems"])
        elif ended["type"] == "save_failed":
            outcome.reason = ended["message"]
            is_left_to_flux = any(LEFT_TO_FLUX in line for line in _pushed(sync)["not_checked"])
            outcome.blame("false passes", *(() if is_left_to_flux else (ended["message"],)))
        elif ended["type"] == "save_applied":
            outcome.objects, outcome.not_checked = ended["objects"], _pushed(sync)["not_checked"]
            self._judge_applied(outcome)
        return outcome

    @contextmanager
    def _syncing(self, *flags: str) -> Iterator[Running]:
        place = ("--root", str(self.session.root), "--allow-prune")
        with self.session.person.leaves_running("sync", self.session.name, *place, *flags) as sync:
            yield sync

    def _judge_refusal(self, outcome: Outcome, problems: list[dict[str, Any]]) -> None:
        """Let Flux decide on what was refused."""
        outcome.reason = "; ".join(one["message"] for one in problems)
        with self._syncing("--no-preflight") as sync:
            told = sync.tells(ENDS, PATIENCE_S)
        if told["type"] == "save_applied":
            outcome.blame("false refusals", *(one["message"] for one in problems))

    def _judge_applied(self, outcome: Outcome) -> None:
        outcome.blame("differences", *self._differences())
        is_chart = self.session.is_chart
        rendered = () if is_chart else self.rendered()
        before = self._live(rendered)
        outcome.blame("unlike", *self._unlike(rendered, before))
        with self._syncing() as sync:
            sync.tells("save_applied", PATIENCE_S)
            pushed = _pushed(sync)
            changed = [str(pushed[key]) for key in ("puts", "deletes", "changes") if pushed[key]]
            outcome.blame("second saves", *changed, *_touched(before, self._live(rendered)))
            if not is_chart:
                outcome.blame("edits", *self._edited(rendered, sync))
        if is_chart:
            outcome.blame("edits", *self._edited_chart())

    def _differences(self) -> Iterator[str]:
        finished = self._diff()
        found = json.loads(finished.out) if finished.code in (0, 1, 4) else {}
        yield from (json.dumps(one) for key in ("changes", "problems") for one in found.get(key, ()))
        if finished.code:
            yield f"code {finished.code} {finished.err}"

    def _diff(self) -> Any:
        return self.session.person.types(
            "diff", self.session.name, "--root", str(self.session.root), "-o", "json", timeout_s=PATIENCE_S
        )

    def rendered(self) -> tuple[RenderedObject, ...]:
        text = self.session.render(self.target)
        assert not isinstance(text, Problem), text
        return tuple(item for part in split_documents(text) for item in parse_document(part))

    def _live(self, rendered: tuple[RenderedObject, ...]) -> dict[str, dict[str, Any]]:
        if not rendered:
            return {}
        file = self.session.work / "rendered.json"
        file.write_text("\n---\n".join(json.dumps(item.body) for item in rendered))
        objects = ("get", "-f", str(file), "-n", self.session.namespace)
        told = self.session.person.kubectl(*objects, "-o", "json", "--show-managed-fields")
        found = json.loads(told)
        items = found["items"] if found["kind"] == "List" else [found]
        return {_named(item): item for item in items}

    def _unlike(self, rendered: tuple[RenderedObject, ...], live: dict[str, dict[str, Any]]) -> Iterator[str]:
        for item in rendered:
            there = live.get(_named(item.body))
            if there is None:
                yield f"{item.ref}: it is not there"
            else:
                yield from (f"{item.ref} {text}" for text in departures(item.body, there))

    def _edited(self, rendered: tuple[RenderedObject, ...], sync: Running) -> Iterator[str]:
        """Annotate objects in the target's kustomization, one by one; a save is to name just what changes."""
        file = self._kustomization
        own = file.read_text()
        kustomization = yaml.safe_load(own) or {}
        candidates = [item.ref for item in rendered if not _HASHED.search(item.ref.name)]
        for ref in candidates[:: max(1, -(-len(candidates) // EDITED))]:
            before = {item.ref: item.digest for item in rendered}
            kustomization.setdefault("patches", []).append(_annotating(ref, kustomization))
            file.write_text(yaml.safe_dump(kustomization, sort_keys=False))
            rendered = self.rendered()
            expected = {str(item.ref) for item in rendered if before.get(item.ref) != item.digest}
            told = sync.tells("save_pushed|save_broken", PATIENCE_S)
            named = {change["object"] for change in told.get("changes", ())}
            if named != expected:
                found = f"{sorted(named)} {told.get('problems')}"
                yield f"an edit of {ref} changes {sorted(expected)}, told {found}"
            if told["type"] == "save_pushed":
                sync.tells("save_applied|save_failed", PATIENCE_S)
        file.write_text(own)

    def _edited_chart(self) -> Iterator[str]:
        """Add an object to a chart; a diff is to name it, and what bears the chart's new version."""
        file = self.session.root / self.target / "templates" / "corpus-edited.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: corpus-edited}\n")
        found = json.loads(self._diff().out)
        file.unlink()
        created = [one["object"] for one in found["changes"] if one["action"] == "create"]
        if created != [f"ConfigMap {self.session.namespace}/corpus-edited"] or found["problems"]:
            yield f"one object was added: told {created} {found['problems']}"
        for change in found["changes"]:
            others = [one["path"] for one in change["fields"] if not _is_version(one)]
            if change["action"] != "create" and (others or not change["fields"]):
                yield f"one object was added: {change['object']} {change['action']} {others}"


def _pushed(sync: Running) -> dict[str, Any]:
    return next(event for event in sync.told if event["type"] == "save_pushed")


def _annotating(ref: ObjectRef, kustomization: dict[str, Any]) -> dict[str, Any]:
    """Write a patch of one object, under the name that it has before the target's own prefix."""
    prefix, suffix = (kustomization.get(key) or "" for key in ("namePrefix", "nameSuffix"))
    name = ref.name.removeprefix(prefix).removesuffix(suffix)
    metadata = {"name": name, "annotations": {"corpus.example/edited": "yes"}}
    patch = {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata}
    return {"patch": json.dumps(patch), "target": {"group": ref.group, "kind": ref.kind, "name": name}}


def _is_version(change: dict[str, Any]) -> bool:
    """Say whether values differ by the digits that each save gives a chart's version, or by sums of such."""
    if "checksum" in change["path"]:
        return True
    before, after = (_VERSION.sub("", change[key]) for key in ("before", "after"))
    return bool(before == after != change["after"])


def _named(body: Any) -> str:
    return f"{body['apiVersion']} {body['kind']} {body['metadata']['name']}"


def _touched(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> Iterator[str]:
    """List what Flux has written to between two looks."""
    for name, live in after.items():
        moments = [(owned_by_flux(one) or {}).get("time") for one in (before[name], live)]
        if moments[0] != moments[1] or before[name]["metadata"]["uid"] != live["metadata"]["uid"]:
            yield f"{name} was applied again"
