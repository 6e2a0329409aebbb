"""Show GitOps Run from a fresh machine to a clean end, and check every step against the cluster.

Run by `make demo`. Types the commands that a person would type; kubectl is the witness.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from gitops_run.errors import GitOpsRunError, NotFound
from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.state import NodeKind, Sandbox

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
SANDBOX = "demo"
SESSION = "demo"
NAMESPACE = f"run-{SESSION}"
KUSTOMIZATIONS = "kustomizations.kustomize.toolkit.fluxcd.io"
PATIENCE_S = 60.0
INTERRUPTED = 130

console = Console(highlight=False, markup=False, soft_wrap=True)
"""Colours where there is a terminal that has them, and plain lines elsewhere."""


class Failed(Exception):
    """A step did not show what it should."""


def main() -> int:
    """Run the demo; 0 only if every step held."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without ✓ shows something else
    started = time.monotonic()
    try:
        step("A control plane starts on this machine: Kubernetes, Flux and an S3 server, as plain processes.")
        sandbox = lifecycle.start(SANDBOX, tell=note, node=NodeKind.SIMULATED)
        with tempfile.TemporaryDirectory(prefix="gitops-run-demo-") as folder:
            show(sandbox, Path(shutil.copytree(HERE / "web", Path(folder) / "web")))
    except KeyboardInterrupt:
        fail("The demo was interrupted. Run it again: it continues with what is built.")
        return INTERRUPTED
    except GitOpsRunError as failure:
        fail(f"{failure}\n{failure.hint}")
        return 1
    except Failed as failure:
        fail(str(failure))
        return 1
    finally:
        with suppress(NotFound):
            lifecycle.stop(SANDBOX)
    console.print()
    hold(f"Every step was checked against the cluster. The demo took {time.monotonic() - started:.0f} s.")
    note("To go on by hand, see README.md, from `gitops-run sandbox start` on.")
    return 0


def show(sandbox: Sandbox, web: Path) -> None:
    """Walk through one session."""
    # Its own state beside the sandbox, so that a demo which was killed is carried on by the next one.
    env = {**os.environ, **sandbox.env, "XDG_DATA_HOME": str(sandbox.folder / "demo")}
    del env["PULUMI_BACKEND_URL"], env["PULUMI_CONFIG_PASSPHRASE_FILE"]
    step("`up` creates a session: a Pulumi stack with a bucket, its keys, access rights and Flux objects.")
    type_in("up", SESSION, "web/overlays/dev", "--root", "web", env=env, cwd=web.parent)
    expect("The cluster has the session's Kustomization.", has(env, KUSTOMIZATIONS, SESSION))
    with syncing(env, web) as events:
        save_and_edit(events, env, web / "base")
    step("`down` removes everything, and asks the cluster and the store whether it is gone.")
    type_in("down", SESSION, env=env, cwd=web)
    expect("The cluster has no namespace of the session.", not has(env, "namespaces", NAMESPACE))


def save_and_edit(events: Iterator[dict[str, Any]], env: dict[str, str], base: Path) -> None:
    """Show what becomes of saves, good and broken ones."""
    step("The first save applies the whole directory.")
    tell_applied(wait_for(events, "save_applied"))
    expect("The cluster has the Deployment web.", has(env, "deployments", "web"))

    step("A file is edited and saved: its image becomes nginx:1.28.")
    edit(base / "deployment.yaml", "image: nginxinc/nginx-unprivileged:1.29", "image: nginx:1.28")
    tell_applied(wait_for(events, "save_applied"))
    expect("The Deployment in the cluster has the image nginx:1.28.", image(env) == "nginx:1.28")

    step("A file is broken: the save is not pushed, and what is live stays live.")
    edit(base / "deployment.yaml", "image: nginx:1.28", "image: nginx:1.27\n       broken: [")
    problem = wait_for(events, "save_broken")["problems"][0]
    note(f"{problem['path']}:{problem['line']}: {problem['message']}")
    expect("The Deployment in the cluster still has the image nginx:1.28.", image(env) == "nginx:1.28")

    step("The file is repaired: its image becomes nginx:1.27.")
    edit(base / "deployment.yaml", "\n       broken: [", "")
    tell_applied(wait_for(events, "save_applied"))
    expect("The Deployment in the cluster has the image nginx:1.27.", image(env) == "nginx:1.27")

    step("A file is deleted: its object is deleted too.")
    edit(base / "kustomization.yaml", "  - ingress.yaml\n", "")
    (base / "ingress.yaml").unlink()
    tell_applied(wait_for(events, "save_applied"))
    expect("The cluster has no Ingress.", not has(env, "ingresses", "web"))


def step(text: str) -> None:
    """Begin a step."""
    console.print(f"\n{text}", style="bold")


def note(text: str) -> None:
    """Say something beside the checks."""
    console.print(f"• {text}", style="dim")


def hold(text: str) -> None:
    """Say that something is as it should be."""
    console.print("✓", style="green", end=" ")
    console.print(text)


def fail(text: str) -> None:
    """Describe what is not."""
    console.print("✗", style="red", end=" ")
    console.print(text)


def expect(what: str, is_so: bool) -> None:  # noqa: FBT001 - reads as a sentence
    """Hold a step to its word."""
    if not is_so:
        raise Failed(f"This did not hold: {what}")
    hold(what)


def edit(path: Path, old: str, new: str) -> None:
    """Change a file as an editor would."""
    text = path.read_text(encoding="utf-8")
    if old not in text:
        raise Failed(f"{path.name} has no {old!r}.")
    path.write_text(text.replace(old, new), encoding="utf-8")


def tell_applied(event: dict[str, Any]) -> None:
    """Show how long a save took, and where that time went."""
    times = event["times_ms"]
    pushed, fetched, applied = (times[name] for name in ("uploaded", "fetched", "applied"))
    hold(
        f"Applied after {applied} ms: checked and pushed in {pushed} ms, fetched by Flux in "
        f"{fetched - pushed} ms, applied in {applied - fetched} ms."
    )


def type_in(*arguments: str, env: dict[str, str], cwd: Path) -> None:
    """Run a command of gitops-run, showing it."""
    show_command(*arguments)
    if subprocess.run([BIN / "gitops-run", *arguments], env=env, cwd=cwd, check=False).returncode != 0:
        raise Failed(f"gitops-run {arguments[0]} failed.")


def show_command(*arguments: str) -> None:
    """Show a command as a person types it."""
    console.print(f"$ gitops-run {' '.join(arguments)}", style="cyan")


def kubectl(env: dict[str, str], *arguments: str) -> Any:
    """Ask the cluster."""
    command = [BIN / "kubectl", "-n", NAMESPACE, "get", *arguments, "-o", "json"]
    return json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)


def has(env: dict[str, str], kind: str, name: str) -> bool:
    """Ask whether the cluster has an object."""
    return any(item["metadata"]["name"] == name for item in kubectl(env, kind)["items"])


def image(env: dict[str, str]) -> str:
    """Ask which image the Deployment has."""
    return str(kubectl(env, "deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"])


@contextmanager
def syncing(env: dict[str, str], cwd: Path) -> Iterator[Iterator[dict[str, Any]]]:
    """Run `gitops-run sync` beside the demo, and interrupt it at the end."""
    command = [BIN / "gitops-run", "sync", SESSION, "-o", "json"]
    step("`sync` watches the directory from now on.")
    show_command("sync", SESSION, "&")
    with subprocess.Popen(command, env=env, cwd=cwd, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield (json.loads(line) for line in process.stdout or ())
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE_S)


def wait_for(events: Iterator[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Read events until one of this type."""
    deadline = time.monotonic() + PATIENCE_S
    for event in events:
        if event["type"] == kind:
            return event
        if time.monotonic() > deadline:
            break
    raise Failed(f"No event {kind} came within {PATIENCE_S:.0f} s.")


if __name__ == "__main__":
    sys.exit(main())
