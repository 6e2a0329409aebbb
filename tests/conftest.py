"""The sandbox that the tests share, and people who work on it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from gitops_run.adapters.files import WorkTree
from gitops_run.errors import NotFound
from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.kubeconfigs import issue_user_kubeconfig
from gitops_run.sandbox.node.requirements import obstacle, this_machine
from gitops_run.sandbox.pulumi_plugin import has_kubernetes_plugin, kubernetes_plugin
from gitops_run.sandbox.state import NodeKind, Sandbox, sandbox_folder
from tests.people import Person

SANDBOX = os.environ.get("GITOPS_RUN_TEST_SANDBOX", "tests")
REAL_SANDBOX = f"{SANDBOX}-real"
EXAMPLES = Path(__file__).parents[1] / "examples"
DEVELOPER = "dev@example.com"
PLATFORM_PATIENCE_S = 150.0
RUN_VARIABLE = "GITOPS_RUN_TEST_RUN"
STARTED_BY = "started-by"
_OF_THE_PLATFORM = ("GITOPS_RUN_SETTINGS", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def work_tree(root: Path, tmp_path: Path) -> WorkTree:
    return WorkTree(root, tmp_path / "stage")


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """A real control plane with a simulated node; one for all tests and workers."""
    return _shared(SANDBOX, NodeKind.SIMULATED)


@pytest.fixture(scope="session")
def real_sandbox() -> Sandbox:
    """A cluster whose pods are containers; one for all tests that are marked real_node, and all workers."""
    return _shared(REAL_SANDBOX, NodeKind.REAL)


@pytest.fixture(scope="session")
def real_admin(real_sandbox: Sandbox) -> Person:
    """Who brought Flux to the real node and may do everything there; one for all tests and workers."""
    home = real_sandbox.folder / "engineer"
    with real_sandbox.folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        is_new = not home.exists()
        home.mkdir(exist_ok=True)
        person = Person(env={**os.environ, **real_sandbox.env, **homes(home)}, cwd=home)
        if is_new:
            finished = person.types("platform", "up", timeout_s=PLATFORM_PATIENCE_S)
            assert finished.code == 0, finished.err
    return person


def _shared(name: str, node: NodeKind) -> Sandbox:
    """Start a sandbox that the run which started it ends."""
    folder = sandbox_folder(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not lifecycle.is_up(folder):
            _remove(name)  # what a run that was killed has left
            lifecycle.start(name, node=node)
            (folder / STARTED_BY).write_text(os.environ[RUN_VARIABLE])
    return lifecycle.start(name, node=node)


def _remove(name: str) -> None:
    with suppress(NotFound):
        lifecycle.stop(name)
    shutil.rmtree(sandbox_folder(name), ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what needs a real node where none can run, and say why."""
    marked = [item for item in items if item.get_closest_marker("real_node")]
    problem = obstacle(this_machine()) if marked else None
    if problem:
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=f"not run, there is no real node here: {problem}"))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Name this run, for the workers too."""
    if not _is_worker(session):
        os.environ[RUN_VARIABLE] = str(os.getpid())


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _is_worker(session) or "GITOPS_RUN_KEEP_SANDBOX" in os.environ:
        return
    for name in (SANDBOX, REAL_SANDBOX):
        mark = sandbox_folder(name) / STARTED_BY
        if mark.is_file() and mark.read_text() == os.environ.get(RUN_VARIABLE):
            lifecycle.stop(name)


def _is_worker(session: pytest.Session) -> bool:
    return hasattr(session.config, "workerinput")


@pytest.fixture(scope="session")
def make_person(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Person]:
    """Make people with homes of their own on the sandbox."""

    def make(name: str) -> Person:
        home = tmp_path_factory.mktemp(name)
        return Person(env={**os.environ, **sandbox.env, **homes(home)}, cwd=home)

    return make


@pytest.fixture(scope="session")
def admin(make_person: Callable[[str], Person]) -> Person:
    """Someone who may do everything in the sandbox."""
    return make_person("admin")


@pytest.fixture
def developer(sandbox: Sandbox, make_person: Callable[[str], Person]) -> Person:
    """Someone without any right but those that a session gives: no settings, no keys, no state."""
    person = make_person("developer")
    kubeconfig = issue_user_kubeconfig(sandbox, DEVELOPER)
    kept = {key: value for key, value in person.env.items() if key not in _OF_THE_PLATFORM}
    env = {**kept, "KUBECONFIG": str(kubeconfig), "GITOPS_RUN_CONTEXT": sandbox.context}
    return Person(env=env, cwd=person.cwd)


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """A copy of the example with base and overlay."""
    return Path(shutil.copytree(EXAMPLES / "web", tmp_path / "web"))


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A copy of the folder of bare manifests."""
    return Path(shutil.copytree(EXAMPLES / "plain", tmp_path / "plain"))


def share_kubernetes_plugin(pulumi_home: Path) -> None:
    """Give a PULUMI_HOME the kubernetes plugin that Pulumi has installed for whoever runs the tests, if any.

    Pulumi takes folders for plugins, and no links to folders.
    """
    if not has_kubernetes_plugin(os.environ):
        return
    folder = pulumi_home / "plugins" / kubernetes_plugin(os.environ).parent.name
    folder.mkdir(parents=True, exist_ok=True)
    for file in kubernetes_plugin(os.environ).parent.iterdir():
        with suppress(FileExistsError):
            (folder / file.name).symlink_to(file)


def homes(home: Path) -> dict[str, str]:
    """Give a person's state places of its own."""
    (home / "state").mkdir(exist_ok=True)
    passphrase = home / "passphrase"
    passphrase.write_text("a passphrase of the tests")
    passphrase.chmod(0o600)
    share_kubernetes_plugin(home / "pulumi")
    return {
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "PULUMI_HOME": str(home / "pulumi"),
        "PULUMI_BACKEND_URL": (home / "state").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase),
    }
