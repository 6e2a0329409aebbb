"""Which programs a sandbox is made of, and the pinned Go modules that each is built from.

One group is one folder under toolchain/, with a go.mod and a go.sum of its own, so that a new release of one
program rebuilds no other. The modules that the groups share have the same versions in all of them, and Go's
cache then compiles each package once; what determines a program's output has the version that its own release
names. This module knows names and packages; building them is build.py's work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TOOLCHAIN = Path(__file__).with_name("toolchain")

_KUBERNETES = "v1.36.3"
_KUBERNETES_VERSION = "k8s.io/component-base/version"
_PULUMI = "v3.259.0"
_HELM = "v4.2.4"
"""The SDK that helm-controller 1.6.4 is built with, so that charts render here as they do there."""

FLUX_VERSION = "v2.9.5"
"""The Flux release whose manifests are pinned, and to whose line the controllers belong."""

FLUX_CONTROLLERS = ("source-controller", "kustomize-controller", "helm-controller")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Name one executable and the Go package that makes it."""

    name: str
    package: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Name files of a module's source that are kept next to the programs built from it.

    group: the folder under toolchain/ whose go.mod pins the module's version.
    files: glob patterns within the module. into: the folder that receives them, "" for the programs' own.
    """

    group: str
    module: str
    files: tuple[str, ...]
    into: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """State what building a group costs from an empty cache, after the groups before it.

    cpu_s: seconds of CPU time, packages: how many are compiled; `make bench` measures both.
    why: what makes a long build long.
    """

    cpu_s: int
    packages: int
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Gather the programs that are built from one go.mod.

    variables: Go variables set by the linker, as "import/path.Name=value".
    module: the folder with its go.mod, where that isn't named like the group.
    """

    name: str
    programs: tuple[Program, ...]
    work: Work
    variables: tuple[str, ...] = ()
    kept: tuple[Kept, ...] = ()
    module: str = ""

    @property
    def folder(self) -> Path:
        """Return the folder with the group's go.mod and go.sum, and what Go sources of ours it has."""
        return TOOLCHAIN / (self.module or self.name)

    @property
    def linker_flags(self) -> str:
        """Return the value of go build's -ldflags: no symbol tables, and the variables."""
        return "-s -w " + " ".join(f"-X {variable}" for variable in self.variables)


def _kubernetes(name: str) -> Program:
    return Program(name=name, package=f"k8s.io/kubernetes/cmd/{name}")


_KUBERNETES_VARIABLES = (
    f"{_KUBERNETES_VERSION}.gitVersion={_KUBERNETES}",
    f"{_KUBERNETES_VERSION}.gitMajor={re.split('[v.]', _KUBERNETES)[1]}",
    f"{_KUBERNETES_VERSION}.gitMinor={re.split('[v.]', _KUBERNETES)[2]}",
)


def _flux(name: str, work: Work) -> Group:
    return Group(name=name, programs=(Program(name=name, package=f"github.com/fluxcd/{name}"),), work=work)


def _flux_manifests(folder: str) -> Kept:
    module = "github.com/fluxcd/flux2/v2"
    return Kept(group="flux", module=module, files=(f"manifests/{folder}/*.yaml",), into=Path(folder).name)


def _flux_manager(name: str) -> Kept:
    module, into = f"github.com/fluxcd/{name}", f"{name}-manager"
    return Kept(group=name, module=module, files=("config/manager/*.yaml",), into=into)


def flux_kinds_folder(name: str) -> str:
    """Name the folder of the Flux group that holds the kinds of a controller."""
    return f"{name}-crds"


def _flux_kinds(name: str) -> Kept:
    module, into = f"github.com/fluxcd/{name}", flux_kinds_folder(name)
    return Kept(group=name, module=module, files=("config/crd/bases/*.yaml",), into=into)


_KWOK_STAGES = Kept(
    group="kwok",
    module="sigs.k8s.io/kwok",
    files=(
        "kustomize/stage/node/fast/node-*.yaml",
        "kustomize/stage/node/heartbeat-with-lease/node-*.yaml",
        "kustomize/stage/pod/fast/pod-*.yaml",
    ),
    into="stages",
)

# The script that starts a program's Python must match the SDK, not the language host: the host comes
# from the last release that has it in this module (3.78.1), the script from the release of the engine.
_LANGUAGE_SCRIPT = Kept(
    group="pulumi",
    module="github.com/pulumi/pulumi/sdk/v3",
    files=("python/cmd/pulumi-language-python-exec",),
    into="",
)

FLUX_MANIFESTS = Group(
    name="flux",
    programs=(),
    work=Work(cpu_s=2, packages=0),
    kept=(
        *(_flux_manifests(folder) for folder in ("install", "policies", "rbac")),
        *(_flux_manifests(f"bases/{name}") for name in FLUX_CONTROLLERS),
        *(_flux_manager(name) for name in FLUX_CONTROLLERS),
        *(_flux_kinds(name) for name in FLUX_CONTROLLERS),
    ),
)
"""Upstream's manifests, and what they name of the controllers' own releases."""

CLUSTER_GROUPS = (
    Group(
        name="etcd",
        programs=(Program(name="etcd", package="go.etcd.io/etcd/server/v3"),),
        work=Work(cpu_s=80, packages=578, why="the first one also compiles Go's standard library"),
    ),
    Group(
        name="versitygw",
        programs=(Program(name="versitygw", package="github.com/versity/versitygw/cmd/versitygw"),),
        work=Work(cpu_s=75, packages=367),
    ),
    _flux("kustomize-controller", Work(cpu_s=200, packages=1295)),
    _flux(
        "source-controller",
        Work(cpu_s=110, packages=655, why="it has a client for every store and registry that Flux reads"),
    ),
    FLUX_MANIFESTS,
    Group(
        name="kubernetes",
        programs=tuple(
            _kubernetes(name) for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
        ),
        work=Work(cpu_s=330, packages=1439, why="it is the whole control plane"),
        variables=_KUBERNETES_VARIABLES,
    ),
)
"""What every sandbox runs: nobody has these installed in the versions that fit together."""

CHART_GROUPS = (
    _flux("helm-controller", Work(cpu_s=20, packages=121)),
    Group(
        name="helm",
        programs=(Program(name="helm", package="helm.sh/helm/v4/cmd/helm"),),
        work=Work(cpu_s=10, packages=46),
        variables=(f"helm.sh/helm/v4/internal/version.version={_HELM}",),
    ),
)
"""What a session with a chart needs in addition."""

PULUMI_GROUPS = (
    Group(
        name="pulumi",
        programs=(Program(name="pulumi", package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"),),
        work=Work(cpu_s=200, packages=648, why="it has a client for every store that can hold its state"),
        variables=(f"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={_PULUMI}",),
    ),
    Group(
        name="pulumi-language-python",
        programs=(
            Program(
                name="pulumi-language-python",
                package="github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python",
            ),
        ),
        work=Work(cpu_s=10, packages=39),
        kept=(_LANGUAGE_SCRIPT,),
    ),
)
"""Built only where no new enough Pulumi is installed."""

SIMULATED_NODE_GROUPS = (
    Group(
        name="kwok",
        programs=(Program(name="kwok", package="sigs.k8s.io/kwok/cmd/kwok"),),
        work=Work(cpu_s=15, packages=66),
        kept=(_KWOK_STAGES,),
    ),
)

REAL_NODE_GROUPS = (
    Group(
        name="kubernetes-node",
        programs=tuple(_kubernetes(name) for name in ("kubelet", "kube-proxy")),
        work=Work(cpu_s=60, packages=122),
        variables=_KUBERNETES_VARIABLES,
        module="kubernetes",
    ),
    Group(
        name="coredns",
        programs=(Program(name="coredns", package="gitops-run.dev/toolchain/coredns"),),
        work=Work(cpu_s=60, packages=479),
    ),
    Group(
        name="images",
        programs=tuple(
            Program(name=name, package=f"gitops-run.dev/toolchain/images/{name}")
            for name in ("pause", "trial")
        ),
        work=Work(cpu_s=2, packages=2),
    ),
)

GROUPS = CLUSTER_GROUPS + CHART_GROUPS + PULUMI_GROUPS + SIMULATED_NODE_GROUPS + REAL_NODE_GROUPS
"""Every group."""


def group_named(name: str) -> Group:
    """Return a group by its name."""
    return next(group for group in GROUPS if group.name == name)


def module_version(group: str, module: str) -> str:
    """Read from a group's go.mod which version of a module it pins, such as "v1.9.3"."""
    go_mod = (TOOLCHAIN / group / "go.mod").read_text()
    pinned = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if pinned is None:
        raise LookupError(f"{group}/go.mod doesn't name {module}")
    return pinned.group(1)
