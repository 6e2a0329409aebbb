"""Show GitOps Run from a fresh machine to a clean end, and check every step against the cluster.

Run by `make demo`. Types the commands that a person would type; kubectl is the witness.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.state import NodeKind, Sandbox

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
SANDBOX = "demo"
SESSION = "demo"
NAMESPACE = f"run-{SESSION}"
PATIENCE_S = 60.0


class Failed(Exception):
    """A step did not show what it should."""


def main() -> int:
    """Run the demo; 0 only if every step held."""
    started = time.monotonic()
    try:
        sandbox = lifecycle.start(SANDBOX, tell=lambda text: say(f"  {text}"), node=NodeKind.SIMULATED)
        with tempfile.TemporaryDirectory(prefix="gitops-run-demo-") as folder:
            show(sandbox, Path(shutil.copytree(HERE / "web", Path(folder) / "web")))
    except Failed as failure:
        say(f"✗ {failure}")
        return 1
    finally:
        lifecycle.stop(SANDBOX)
    say(f"✓ every step was checked against the cluster; {time.monotonic() - started:.0f} s in all")
    return 0


def show(sandbox: Sandbox, web: Path) -> None:
    """Walk through one session."""
    # Its own state beside the sandbox, so that a demo which was killed is carried on by the next one.
    env = {**os.environ, **sandbox.env, "XDG_DATA_HOME": str(sandbox.folder / "demo")}
    del env["PULUMI_BACKEND_URL"], env["PULUMI_CONFIG_PASSPHRASE_FILE"]
    base = web / "base"
    step("up: a Pulumi stack makes bucket, keys, access, Flux Bucket and Kustomization")
    type_in("up", SESSION, str(web / "overlays" / "dev"), "--root", str(web), env=env, cwd=web)
    expect("the session's Kustomization", SESSION in names(env, "kustomizations.kustomize.toolkit.fluxcd.io"))
    with syncing(env, web) as events:
        step("sync: the first save applies the whole target")
        tell_applied(wait_for(events, "save_applied"))
        expect("the Deployment in the cluster", "web" in names(env, "deployments"))

        step("edit a file")
        edit(base / "deployment.yaml", "image: nginxinc/nginx-unprivileged:1.29", "image: nginx:1.28")
        tell_applied(wait_for(events, "save_applied"))
        expect("the new image in the cluster", image(env) == "nginx:1.28")

        step("break it: the save stays home, what was live stays live")
        edit(base / "deployment.yaml", "image: nginx:1.28", "image: nginx:1.27\n       broken: [")
        problem = wait_for(events, "save_broken")["problems"][0]
        say(f"  {problem['path']}:{problem['line']}: {problem['message']}")
        expect("the last good image in the cluster", image(env) == "nginx:1.28")

        step("mend it")
        edit(base / "deployment.yaml", "\n       broken: [", "")
        tell_applied(wait_for(events, "save_applied"))
        expect("the mended image in the cluster", image(env) == "nginx:1.27")

        step("delete a file: its object goes")
        edit(base / "kustomization.yaml", "  - ingress.yaml\n", "")
        (base / "ingress.yaml").unlink()
        tell_applied(wait_for(events, "save_applied"))
        expect("no Ingress in the cluster", not names(env, "ingresses"))
    step("down: everything goes, and the cluster and the store are asked")
    type_in("down", SESSION, env=env, cwd=web)
    expect("no namespace of the session", NAMESPACE not in names(env, "namespaces"))


def say(text: str) -> None:
    """Tell the person who watches."""
    print(text, flush=True)


def step(text: str) -> None:
    """Begin a step."""
    say(f"\n• {text}")


def expect(what: str, is_so: bool) -> None:  # noqa: FBT001 - reads as a sentence
    """Hold a step to its word."""
    if not is_so:
        raise Failed(f"expected {what}")
    say(f"  ✓ {what}")


def edit(path: Path, old: str, new: str) -> None:
    """Change a file as an editor would."""
    text = path.read_text(encoding="utf-8")
    if old not in text:
        raise Failed(f"{path.name} has no {old!r}")
    path.write_text(text.replace(old, new), encoding="utf-8")


def tell_applied(event: dict[str, Any]) -> None:
    """Show how long a save took."""
    say(f"  applied in {event['times_ms']['applied']} ms: {event['times_ms']}")


def type_in(*arguments: str, env: dict[str, str], cwd: Path) -> None:
    """Run a command of gitops-run, showing it."""
    say(f"  $ gitops-run {' '.join(arguments)}")
    if subprocess.run([BIN / "gitops-run", *arguments], env=env, cwd=cwd, check=False).returncode != 0:
        raise Failed(f"gitops-run {arguments[0]} failed")


def kubectl(env: dict[str, str], *arguments: str) -> Any:
    """Ask the cluster."""
    command = [BIN / "kubectl", "-n", NAMESPACE, "get", *arguments, "-o", "json"]
    return json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)


def names(env: dict[str, str], kind: str) -> set[str]:
    """List the names of what the cluster has of a kind."""
    return {item["metadata"]["name"] for item in kubectl(env, kind)["items"]}


def image(env: dict[str, str]) -> str:
    """Ask which image the Deployment has."""
    return str(kubectl(env, "deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"])


@contextmanager
def syncing(env: dict[str, str], cwd: Path) -> Iterator[Iterator[dict[str, Any]]]:
    """Run `gitops-run sync` beside the demo, and interrupt it at the end."""
    command = [BIN / "gitops-run", "sync", SESSION, "-o", "json"]
    say(f"  $ gitops-run sync {SESSION} &")
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
    raise Failed(f"no {kind} came")


if __name__ == "__main__":
    sys.exit(main())
