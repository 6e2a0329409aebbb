"""The configuration files of a real node's parts, as text.

containerd has its own root, state and socket in the sandbox's folder. The kubelet lets nobody in without a
certificate or a token that the API server knows, and asks it what they may do. Pods get point-to-point
links: they need no bridge, no module of the kernel's and no iptables.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from gitops_run.sandbox.kubeconfigs import part_kubeconfig
from gitops_run.sandbox.node.machine import cgroup_of, node_folder
from gitops_run.sandbox.node.network import DNS_ADDRESS, PODS
from gitops_run.sandbox.state import NODE, Sandbox, write_private

PAUSE_IMAGE = "registry.k8s.io/pause:3.10.1"
CLUSTER_DOMAIN = "cluster.local"

_LONGEST_SOCKET_PATH = 104
_DISABLED = (
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.internal.v1.opt",
    "io.containerd.nri.v1.nri",
)
_CRI = 'plugins."io.containerd.grpc.v1.cri"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Hold where the configuration of each part lies."""

    containerd: Path
    kubelet: Path
    kube_proxy: Path
    network: Path
    names: Path


def socket_of(folder: Path) -> Path:
    """Return the path of containerd's socket."""
    return folder / "run" / "containerd.sock"


def is_socket_path_too_long(folder: Path) -> bool:
    """Report whether the kernel would refuse a socket in this folder; containerd adds a suffix to one."""
    return len(f"{socket_of(folder)}.ttrpc") > _LONGEST_SOCKET_PATH


def files_of(folder: Path) -> Files:
    """Name the configuration files of a node."""
    node = node_folder(folder)
    return Files(
        containerd=node / "containerd.toml",
        kubelet=node / "kubelet.yaml",
        kube_proxy=node / "kube-proxy.yaml",
        network=node / "cni" / "10-pods.conflist",
        names=node / "resolv.conf",
    )


def write_configuration(sandbox: Sandbox, plugins: Path, *, may_lower_scores: bool) -> None:
    """Write every configuration file of a node.

    plugins: the folder of the CNI plugins. may_lower_scores: whether this root has CAP_SYS_RESOURCE.
    """
    files = files_of(sandbox.folder)
    files.network.parent.mkdir(exist_ok=True)
    write_private(files.containerd, containerd(sandbox.folder, plugins, may_lower_scores=may_lower_scores))
    write_private(files.kubelet, kubelet(sandbox))
    write_private(files.kube_proxy, kube_proxy(sandbox))
    write_private(files.network, pod_network(node_folder(sandbox.folder)))
    write_private(files.names, "# A pod that doesn't ask the cluster's name server has none.\n")


def containerd(folder: Path, plugins: Path, *, may_lower_scores: bool) -> str:
    """Write containerd's configuration."""
    node = node_folder(folder)
    # Without the restriction no container starts where CAP_SYS_RESOURCE is missing.
    return f"""version = 2
root = "{node}/containerd/root"
state = "{node}/containerd/state"
oom_score = 0
disabled_plugins = {json.dumps(_DISABLED)}
[grpc]
  address = "{socket_of(folder)}"
[{_CRI}]
  sandbox_image = "{PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = {"false" if may_lower_scores else "true"}
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [{_CRI}.cni]
    bin_dir = "{plugins}"
    conf_dir = "{node}/cni"
    max_conf_num = 1
  [{_CRI}.containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [{_CRI}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [{_CRI}.containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def kubelet(sandbox: Sandbox) -> str:
    """Write the kubelet's configuration."""
    pki, node = sandbox.folder / "pki", node_folder(sandbox.folder)
    access = {
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(sandbox.ca)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / "serving.crt"),
        "tlsPrivateKeyFile": str(pki / "serving.key"),
        "readOnlyPort": 0,
        "healthzPort": 0,
    }
    limits = {
        # Images are imported, not pulled: one that was collected could not be had again.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "maxPods": 110,
        "oomScoreAdj": 0,
        "failSwapOn": False,
    }
    content = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": sandbox.address,
        "port": sandbox.ports["kubelet"],
        "containerRuntimeEndpoint": f"unix://{socket_of(sandbox.folder)}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup_of(sandbox.folder),
        "failCgroupV1": False,
        "enforceNodeAllocatable": ["pods"],
        "clusterDomain": CLUSTER_DOMAIN,
        "clusterDNS": [DNS_ADDRESS],
        "resolvConf": str(files_of(sandbox.folder).names),
        "makeIPTablesUtilChains": False,
        "podLogsDir": str(node / "pod-logs"),
        "volumePluginDir": str(node / "volume-plugins"),
        "nodeStatusUpdateFrequency": "5s",
        **access,
        **limits,
    }
    return yaml.safe_dump(content, sort_keys=False)


def kube_proxy(sandbox: Sandbox) -> str:
    """Write kube-proxy's configuration."""
    content = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(part_kubeconfig(sandbox, "kube-proxy"))},
        "mode": "nftables",
        "nftables": {"minSyncPeriod": "100ms"},  # of 1 s, for which a small cluster needn't wait
        "clusterCIDR": PODS,
        "nodePortAddresses": ["primary"],
        "hostnameOverride": NODE,
        "healthzBindAddress": f"{sandbox.address}:{sandbox.ports['kube-proxy']}",
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
        # The table of connections is the whole machine's.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
    return yaml.safe_dump(content, sort_keys=False)


def pod_network(node: Path) -> str:
    """Write the CNI configuration: a link for each pod, and addresses kept in the node's folder."""
    plugin = {
        "type": "ptp",
        "ipam": {
            "type": "host-local",
            "dataDir": str(node / "addresses"),
            "ranges": [[{"subnet": PODS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [plugin]}, indent=2)
