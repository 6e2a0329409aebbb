"""What the provider may be configured with; any other option is refused by name.

It is pure but for reading a kubeconfig to compare clusters. The rules for when a changed configuration means
another cluster, and so new objects, are pulumi-kubernetes 4.34's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitops_run.errors import UsageError

CLUSTER_ID = "clusterIdentifier"
_CONNECTION = ("kubeconfig", "context")
_KNOWN = frozenset({*_CONNECTION, CLUSTER_ID, "enableSecretMutable", "version", "pluginDownloadURL"})
_ENVIRONMENT_PREFIX = "PULUMI_K8S_"
_MUTABLE_VARIABLE = f"{_ENVIRONMENT_PREFIX}ENABLE_SECRET_MUTABLE"
_VARIABLE_PREFIX = "kubernetes:config:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """A configured provider.

    kubeconfig: a path, or a kubeconfig's text, or empty for the usual places. context: empty for the
    kubeconfig's current one.
    """

    kubeconfig: str = ""
    context: str = ""
    secrets_mutable: bool = False

    def kubeconfig_text(self) -> str | None:
        """Return the kubeconfig given as text; None where it is a path, or not given."""
        if not self.kubeconfig or self.kubeconfig_path() is not None:
            return None
        return self.kubeconfig

    def kubeconfig_path(self) -> Path | None:
        """Return the kubeconfig given as a path that exists."""
        if not self.kubeconfig or "\n" in self.kubeconfig or self.kubeconfig.startswith("{"):
            return None
        path = Path(self.kubeconfig).expanduser()
        return path if path.exists() else None


def refused(names: Mapping[str, Any]) -> tuple[str, ...]:
    """List the options that this stand-in doesn't know."""
    return tuple(sorted(name for name in names if name not in _KNOWN and not name.startswith("__")))


def parse(variables: Mapping[str, str], environment: Mapping[str, str]) -> Options:
    """Read the provider's configuration.

    Raises UsageError on an option that isn't known, in the configuration or in a PULUMI_K8S_ variable.
    """
    given = {key.removeprefix(_VARIABLE_PREFIX): value for key, value in variables.items()}
    unknown = (*refused(given), *_refused_variables(environment))
    if unknown:
        raise UsageError(
            f"the option {unknown[0]} is not known to this stand-in for pulumi-resource-kubernetes",
            hint="install the real plugin: pulumi plugin install resource kubernetes",
        )
    return Options(
        kubeconfig=given.get("kubeconfig", ""),
        context=given.get("context", ""),
        secrets_mutable=given.get("enableSecretMutable", environment.get(_MUTABLE_VARIABLE)) == "true",
    )


def _refused_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        sorted(
            name
            for name, value in environment.items()
            if name.startswith(_ENVIRONMENT_PREFIX) and name != _MUTABLE_VARIABLE and value
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDifference:
    """What differs between two configurations; replaces: what of it means another cluster."""

    changed: tuple[str, ...]
    replaces: tuple[str, ...]


def config_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> ConfigDifference:
    """Compare two configurations.

    While clusterIdentifier stays the same nothing is replaced, whatever else changes; where it changes,
    everything is. Where only one side has one, the active cluster of the kubeconfig decides.
    """
    changed = tuple(sorted(key for key in {*old, *new} if old.get(key) != new.get(key)))
    old_id, new_id = old.get(CLUSTER_ID), new.get(CLUSTER_ID)
    if not changed or (old_id == new_id and new_id):
        return ConfigDifference(changed=changed, replaces=())
    replaces = [CLUSTER_ID] if old_id and new_id else []
    old_cluster, new_cluster = _active_cluster(old), _active_cluster(new)
    if old_cluster is not None and new_cluster is not None and old_cluster != new_cluster:
        replaces += [key for key in _CONNECTION if key in changed]
    return ConfigDifference(changed=changed, replaces=tuple(replaces))


def _active_cluster(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    options = Options(
        kubeconfig=str(config.get("kubeconfig") or ""), context=str(config.get("context") or "")
    )
    content = load_kubeconfig(options)
    context_name = options.context or content.get("current-context")
    context = _named(content, "contexts", context_name)
    return _named(content, "clusters", (context or {}).get("context", {}).get("cluster"))


def load_kubeconfig(options: Options) -> Mapping[str, Any]:
    """Read the kubeconfig that was given, by path or as text; empty where none was.

    Raises UsageError where it is neither.
    """
    import yaml  # noqa: PLC0415  15 ms that no preview without a changed provider needs

    path = options.kubeconfig_path()
    text = path.read_text() if path is not None else options.kubeconfig_text()
    try:
        content = yaml.safe_load(text or "") or {}
    except yaml.YAMLError as error:
        raise _no_kubeconfig() from error
    if not isinstance(content, Mapping):
        raise _no_kubeconfig()
    return content


def _no_kubeconfig() -> UsageError:
    return UsageError(
        "the provider's kubeconfig is neither a file that exists nor the text of a kubeconfig",
        hint="check the provider's kubeconfig",
    )


def _named(content: Mapping[str, Any], section: str, name: Any) -> Mapping[str, Any] | None:
    return next((entry for entry in content.get(section) or [] if entry.get("name") == name), None)
