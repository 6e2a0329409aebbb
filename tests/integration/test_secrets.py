"""No value of a Secret is anywhere else: canaries in each place, looked for wherever text goes."""

from __future__ import annotations

import base64
import json
import shutil
import tarfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
import yaml

from gitops_run.adapters.cluster.discovery import Discovery
from gitops_run.adapters.files import WorkTree
from gitops_run.adapters.render.helm import Helm
from gitops_run.model.flux.helm_release import HelmValues
from gitops_run.model.text.problem import Problem
from gitops_run.sandbox.export import export
from gitops_run.sandbox.state import Sandbox
from tests.charts import KnownRelease
from tests.people import Person

NAME = f"canaries-{uuid.uuid4().hex[:6]}"
NAMESPACE = f"run-{NAME}"
PIN = "73518264"
VARIABLE = "c4nary-of-the-variables-file"
MANIFEST = "c4nary-of-a-manifest"
LITERAL = "c4nary-of-a-literal"
OF_AN_ENV = "c4nary-of-an-env-file"
REFUSED = "c4nary-that-was-refused"
FIXTURES = Path(__file__).parent / "fixtures" / "sops"
KINDS = "configmaps,buckets.source.toolkit.fluxcd.io,leases,roles,rolebindings,serviceaccounts"
"""Not Kustomizations and events: Flux itself writes its messages there."""
MAPS = ("gitops-run-state", "gitops-run-record")
Notes = Callable[[str, object], None]
CANARIES = (PIN[:6], VARIABLE, MANIFEST, LITERAL, OF_AN_ENV, REFUSED)

KUSTOMIZATION = {
    "resources": ["secret.yaml", "settings.yaml"],
    "secretGenerator": [
        {"name": "literal", "literals": [f"p={LITERAL}"]},
        {"name": "env", "envs": ["values.env"]},
    ],
}
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "pin"},
    "stringData": {"p": MANIFEST, "v": "${VARIABLE}"},
}
SETTINGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "1"}}


def encoded(canary: str) -> str:
    return base64.b64encode(canary.encode()).decode()


@contextmanager
def arguments_seen() -> Iterator[set[str]]:
    """Gather the arguments of every process that runs meanwhile."""
    seen: set[str] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.01):
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    seen.add((process / "cmdline").read_text(errors="replace"))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join(10)


@dataclass(frozen=True)
class Told:
    """Gather what is said, and look for canaries in it."""

    texts: list[str] = field(default_factory=list)

    def finished(self, person: Person, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        done = person.types(*arguments)
        self.texts.append(done.out + done.err)
        assert done.code in codes, done.out + done.err
        return done.out


def files_below(*folders: Path) -> dict[Path, str]:
    return {
        file: file.read_text(errors="replace")
        for folder in folders
        for file in folder.rglob("*")
        if file.is_file() and not file.is_symlink()
    }


def store_keys(sandbox: Sandbox) -> list[str]:
    settings = yaml.safe_load(sandbox.settings.read_text())
    return [value for key, value in settings.items() if key.lower().endswith("secretkey")]


def found_in(text: str, canaries: list[str]) -> list[str]:
    return [one for one in canaries for form in (one, encoded(one).rstrip("=")) if form in text]


@pytest.fixture
def person(make_person: Callable[[str], Person], tmp_path: Path) -> Person:
    """Someone whose cache and temporary files are looked through."""
    made = make_person("canaries")
    (tmp_path / "tmp").mkdir()
    places = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "tmp")}
    return Person(env={**made.env, **places}, cwd=tmp_path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(KUSTOMIZATION))
    (folder / "secret.yaml").write_text(yaml.safe_dump(SECRET))
    (folder / "settings.yaml").write_text(yaml.safe_dump(SETTINGS))
    (folder / "values.env").write_text(f"P={OF_AN_ENV}\n")
    return folder


@pytest.fixture
def variables(tmp_path: Path) -> Path:
    return variables_in(tmp_path)


def variables_in(folder: Path) -> Path:
    file = folder / "variables"
    file.write_text(f"VARIABLE={VARIABLE}\nPIN={PIN}\n")
    file.chmod(0o600)
    return file


def edits(root: Path) -> Iterator[str]:
    """Break and fix the root in one way after another, and name the event that each has to get."""
    secret, env = root / "secret.yaml", root / "values.env"
    plain = secret.read_text()
    secret.write_text(yaml.safe_dump({**SECRET, "stringData": {"pin": "${PIN:0:6}"}}))
    yield "save_failed"  # to Flux it becomes a number, which a text may not be; nobody else can evaluate it
    secret.write_text(yaml.safe_dump({**SECRET, "stringData": {}, "data": {"b": REFUSED}}))
    yield "save_broken"
    secret.write_text(yaml.safe_dump({**SECRET, "stringData": {"p": [REFUSED]}}))
    yield "save_broken"
    secret.write_text(plain + f"\n  x: {REFUSED}\n y: {REFUSED}\n")
    yield "save_broken"
    secret.write_text(plain)
    yield "save_applied"
    env.write_bytes(f"P={REFUSED}".encode() + b"\xff\n")
    yield "save_broken"
    env.write_text(f"{REFUSED} & more\n")
    yield "save_broken"
    env.write_text(f"P={OF_AN_ENV}-2\n")
    yield "save_applied"


def look(told: Told, here: Person) -> None:
    """Type every command that shows something of the session, or asks something of it."""
    for command in ("diff", "status", "history"):
        told.finished(here, command, NAME, "-o", "json")
    for verb in ("suspend", "resume", "retry"):
        told.finished(here, "request", NAME, verb, "--reason", "a demo", "-o", "json")
    told.finished(here, "wait", NAME, "--for", "applied", "-o", "json")
    for command in ("list", "gc", "doctor"):
        told.finished(here, command, "-o", "json", codes=(0, 2, 6))


def kept_by(person: Person, tmp_path: Path) -> dict[str, str]:
    """Read a person's files, but for the passphrase and the history, which keeps what the root holds."""
    history = Path(person.env["XDG_DATA_HOME"]) / "gitops-run" / "history"
    passphrase = Path(person.env["PULUMI_CONFIG_PASSPHRASE_FILE"])
    files = files_below(Path(person.env["HOME"]), tmp_path / "cache", tmp_path / "tmp")
    return {
        str(file): text
        for file, text in files.items()
        if file != passphrase and not file.is_relative_to(history)
    }


def made_keys(secrets: dict[str, dict[str, str]]) -> list[str]:
    """Read the keys of the session's own that `up` made, which are secret too."""
    kept = (secrets[name] for name in ("bucket-reader", "bucket-writer"))
    values = [value for data in kept for key, value in data.items() if "secret" in key.lower()]
    return [base64.b64decode(value).decode() for value in values]


def test_no_canary_is_seen_anywhere_but_in_its_secret(
    person: Person,
    sandbox: Sandbox,
    root: Path,
    tmp_path: Path,
    record_property: Notes,
) -> None:
    key = tmp_path / "age.key"
    shutil.copyfile(FIXTURES / "test-key.agekey", key)
    key.chmod(0o600)
    age = next(line for line in key.read_text().splitlines() if line.startswith("AGE-SECRET-KEY-"))
    passphrase = Path(person.env["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text()
    given = ("--substitute-file", str(variables_in(tmp_path)), "--decryption-key-file", str(key))
    canaries = [*CANARIES, age, passphrase, *store_keys(sandbox)]
    told, here = Told(), Person(env=person.env, cwd=root)
    with arguments_seen() as arguments:
        told.finished(person, "up", NAME, str(root), "--root", str(root), *given, "-o", "json")
        with here.leaves_running("sync", NAME, "--allow-prune") as sync:
            sync.tells("save_applied")
            for kind in edits(root):
                sync.tells(kind)
            look(told, here)
        secrets = {item["metadata"]["name"]: item["data"] for item in here.get("secrets", NAMESPACE)}
        objects = here.kubectl("get", KINDS, "-n", NAMESPACE, "-o", "json")
        kept = kept_by(person, tmp_path)
        told.finished(person, "--debug", "down", NAME)
    assert secrets["gitops-run-variables"] == {"VARIABLE": encoded(VARIABLE), "PIN": encoded(PIN)}
    assert secrets["pin"]["v"] == encoded(VARIABLE)
    canaries += made_keys(secrets)
    said = json.dumps([*told.texts, sync.told, sync.errors], ensure_ascii=False)
    places = {"said": said, "objects": objects, "arguments": "\n".join(arguments), **kept}
    found = {place: seen for place, text in places.items() if (seen := found_in(text, canaries))}
    record_property("canaries_found", sum(map(len, found.values())))
    assert found == {}
    assert len(canaries) == len(set(canaries)) > len(CANARIES) + 3
    assert {"loop"} == {key for name in MAPS for key in data_of(objects, name)}, (
        "state and record were written"
    )
    assert found_in(places["arguments"], ["BEGIN"]) == []


def data_of(objects: str, name: str) -> dict[str, str]:
    items = json.loads(objects)["items"]
    return next(item.get("data", {}) for item in items if item["metadata"]["name"] == name)


def test_what_pulumi_keeps_is_its_owner_s_alone_and_nothing_temporary_stays(
    person: Person, root: Path, tmp_path: Path
) -> None:
    person.succeeds("up", "modes", str(root), "--root", str(root))
    state = Path(person.env["HOME"]) / "state"
    open_to_others = [
        str(file) for file in state.rglob("*") if file.is_file() and file.stat().st_mode & 0o077
    ]
    person.succeeds("down", "modes")
    assert open_to_others == []
    assert list((tmp_path / "tmp").iterdir()) == []
    assert [file.name for file in (tmp_path / "cache" / "gitops-run" / "tmp").iterdir()] == [".lock"]


def test_a_value_from_the_variables_file_is_masked_in_the_diff_of_any_object(
    person: Person, root: Path, variables: Path
) -> None:
    here = Person(env=person.env, cwd=root)
    shared = {**SETTINGS, "data": {"url": "x://${VARIABLE}@y"}}
    (root / "settings.yaml").write_text(yaml.safe_dump(shared))
    person.succeeds("up", "masked", str(root), "--root", str(root), "--substitute-file", str(variables))
    with here.leaves_running("sync", "masked") as sync:
        sync.tells("save_applied")
    (root / "settings.yaml").write_text(yaml.safe_dump(SETTINGS))
    shown = here.types("diff", "masked", "-o", "json")
    person.succeeds("down", "masked")
    assert shown.code == 1
    assert "x://***@y" in shown.out
    assert VARIABLE not in shown.out


def test_an_export_of_the_sandbox_holds_no_value_even_of_what_was_refused(
    person: Person,
    sandbox: Sandbox,
    root: Path,
    tmp_path: Path,
    record_property: Notes,
) -> None:
    here = Person(env=person.env, cwd=root)
    given = ("--substitute", f"PIN={PIN}", "--substitute", "VARIABLE=c")
    person.succeeds("up", "exported", str(root), "--root", str(root), *given)
    with here.leaves_running("sync", "exported") as sync:
        sync.tells("save_applied")
        for kind in edits(root):
            sync.tells(kind)
    refused = json.dumps({**SECRET, "stringData": {"p": REFUSED, "n": {"a": REFUSED}}})
    file = tmp_path / "refused.json"
    file.write_text(refused)
    for how in ("apply", "create"):
        with pytest.raises(AssertionError):
            person.kubectl(how, "-n", "run-exported", "-f", str(file), "--validate=false")
    export(sandbox, tmp_path / "out.tar.gz")
    person.succeeds("down", "exported")
    with tarfile.open(tmp_path / "out.tar.gz") as archive:
        texts = {
            entry.name: content.read().decode(errors="replace")
            for entry in archive.getmembers()
            if (content := archive.extractfile(entry))
        }
    assert "run-exported" in texts["objects/kustomizations.json"]
    canaries = [*CANARIES, *store_keys(sandbox)]
    found = {name: seen for name, text in texts.items() if (seen := found_in(text, canaries))}
    record_property("canaries_found", sum(map(len, found.values())))
    assert found == {}


EXEC_PLUGIN = """#!/bin/sh
# Credentials for kubectl and its kin: only for whoever has this in the environment.
test "$CREDENTIALS_PROFILE" = of-the-tests || exit 1
cat "$CREDENTIALS_FILE"
"""


@pytest.fixture
def exec_kubeconfig(sandbox: Sandbox, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A kubeconfig whose credentials come from a program, and the environment that this program needs."""
    content = yaml.safe_load(sandbox.kubeconfig.read_text())
    user = content["users"][0]["user"]
    status = {
        "clientCertificateData": base64.b64decode(user["client-certificate-data"]).decode(),
        "clientKeyData": base64.b64decode(user["client-key-data"]).decode(),
    }
    version = "client.authentication.k8s.io/v1"
    credential = {"apiVersion": version, "kind": "ExecCredential", "status": status}
    (tmp_path / "credential.json").write_text(json.dumps(credential))
    (tmp_path / "plugin").write_text(EXEC_PLUGIN)
    (tmp_path / "plugin").chmod(0o700)
    run = {"apiVersion": version, "command": str(tmp_path / "plugin"), "interactiveMode": "Never"}
    content["users"][0]["user"] = {"exec": run}
    kubeconfig = tmp_path / "exec-kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(content))
    kubeconfig.chmod(0o600)
    environment = {
        "CREDENTIALS_PROFILE": "of-the-tests",
        "CREDENTIALS_FILE": str(tmp_path / "credential.json"),
    }
    return kubeconfig, environment


@pytest.fixture
def elsewhere(
    person: Person,
    sandbox: Sandbox,
    exec_kubeconfig: tuple[Path, dict[str, str]],
    states: dict[str, str],
    tmp_path: Path,
) -> Person:
    """Someone whose credentials come from a program, and whose states are in a bucket."""
    kubeconfig, needed = exec_kubeconfig
    settings = yaml.safe_load(sandbox.settings.read_text()) | {"kubeconfig": str(kubeconfig)}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "settings.yaml").chmod(0o600)
    env = {**person.env, **states, **needed, "GITOPS_RUN_SETTINGS": str(tmp_path / "settings.yaml")}
    return Person(env=env, cwd=tmp_path)


def test_credentials_of_a_program_and_states_in_a_bucket_reach_pulumi(
    elsewhere: Person, person: Person, root: Path
) -> None:
    elsewhere.succeeds("up", "elsewhere", str(root), "--root", str(root))
    with Person(env=elsewhere.env, cwd=root).leaves_running("sync", "elsewhere") as sync:
        sync.tells("save_applied")
    elsewhere.succeeds("down", "elsewhere")
    assert "run-elsewhere" not in person.names("namespaces")


TEMPLATES = {
    "a template that fails with it": "kind: Secret\n{{ fail .Values.db.password }}",
    "a value of another type": "kind: Secret\nx: {{ index .Values.db.password 1 2 }}",
    "a manifest that is not YAML": "kind: Secret\nstringData:\n  p: {{ .Values.db.password }}\n q: 1",
    "an alias that is none": "kind: Secret\nstringData:\n  p: *{{ .Values.db.password }}",
    "a pattern that it is not": 'kind: Secret\nx: {{ mustRegexMatch (print .Values.db.password "(") "x" }}',
    "another template that uses it": "kind: ConfigMap\nx: {{ template .Values.db.password }}",
}


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_no_message_of_helm_about_a_broken_chart_holds_a_value(
    template: str, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", sandbox.env["PATH"])
    chart = tmp_path / "root" / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: chart\nversion: 1.0.0\n")
    (chart / "values.yaml").write_text(f"db: {{password: {MANIFEST}}}\n")
    (chart / "templates" / "s.yaml").write_text(template)
    snapshot = anyio.run(WorkTree(tmp_path / "root", tmp_path / "stage", "chart").snapshot)
    values, work = HelmValues(release_name="r"), tmp_path / "work"
    helm = Helm("ns", values, work, Discovery(None), release=KnownRelease())  # type: ignore[arg-type]
    found = anyio.run(helm.render, snapshot, "chart")
    assert isinstance(found, Problem)
    assert found.message
    assert MANIFEST not in repr(found)
