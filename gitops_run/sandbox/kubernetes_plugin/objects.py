"""Inputs, live objects, and the state that Pulumi keeps, which is made of both.

It is pure. State is the live object with three keys of the plugin's own: the inputs, the first API version
and the field manager. Its keys x-kubernetes-* are written with underscores there, as Pulumi's SDKs name them.
Source: pulumi-kubernetes 4.34, provider/pkg/provider/provider.go.
"""

from __future__ import annotations

import base64
import binascii
import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gitops_run.sandbox.kubernetes_plugin import quantities
from gitops_run.sandbox.kubernetes_plugin.kinds import FieldPath, KindName
from gitops_run.sandbox.kubernetes_plugin.values import Object, has_unknown, marked, plain

INPUTS_KEY = "__inputs"
API_VERSION_KEY = "__initialApiVersion"
MANAGER_KEY = "__fieldManager"

_READ_ONLY = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)
_REVISION = "deployment.kubernetes.io/revision"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_DASHED = {
    f"x_kubernetes_{name.replace('-', '_')}": f"x-kubernetes-{name}"
    for name in (
        "embedded-resource",
        "int-or-string",
        "list-map-keys",
        "list-type",
        "map-type",
        "preserve-unknown-fields",
        "validations",
    )
}
_UNDERSCORED = {dashed: underscored for underscored, dashed in _DASHED.items()}
_EACH = "*"
_CONTAINER_QUANTITIES: tuple[FieldPath, ...] = tuple(
    ("spec", "template", "spec", containers, _EACH, "resources", bound, _EACH)
    for containers in ("containers", "initContainers")
    for bound in ("limits", "requests")
)
_QUANTITIES: Mapping[str, tuple[FieldPath, ...]] = {
    "ResourceQuota": (("spec", "hard", _EACH),),
    "LimitRange": tuple(
        ("spec", "limits", _EACH, bound, _EACH)
        for bound in ("default", "defaultRequest", "max", "maxLimitRequestRatio", "min")
    ),
    "Deployment": _CONTAINER_QUANTITIES,
    "PersistentVolumeClaim": tuple(("spec", "resources", bound, _EACH) for bound in ("limits", "requests")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A resource as Pulumi remembers it, without marks of secrecy."""

    inputs: Object
    live: Object
    api_version: str
    manager: str


def parse_inputs(properties: Mapping[str, Any]) -> Object:
    """Read inputs as the API server names their fields, without marks of secrecy."""
    inputs: Object = _renamed(plain(dict(properties)), _DASHED)
    return inputs


def parse_state(properties: Mapping[str, Any]) -> State:
    """Take a state apart; everything is empty where there is none yet."""
    live = parse_inputs(properties)
    inputs = live.pop(INPUTS_KEY, {})
    return State(
        inputs=inputs,
        api_version=live.pop(API_VERSION_KEY, "") or inputs.get("apiVersion", ""),
        manager=live.pop(MANAGER_KEY, ""),
        live=live,
    )


def render_state(state: State, like: Mapping[str, Any]) -> Object:
    """Put a state together, and mark as secret what is secret in the inputs on the wire."""
    return {
        **_renamed(marked(state.live, like), _UNDERSCORED),
        INPUTS_KEY: _renamed(marked(state.inputs, like), _UNDERSCORED),
        API_VERSION_KEY: state.api_version,
        MANAGER_KEY: state.manager,
    }


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Copy a value with other names for some keys, at any depth."""
    match value:
        case dict():
            return {names.get(key, key): _renamed(item, names) for key, item in value.items()}
        case list():
            return [_renamed(item, names) for item in value]
    return value


def metadata(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object's metadata, empty where it has none or it isn't known yet."""
    found = obj.get("metadata")
    return found if isinstance(found, Mapping) else {}


def annotations_of(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object's annotations, empty where it has none or they aren't known yet."""
    found = metadata(obj).get("annotations")
    return found if isinstance(found, Mapping) else {}


def name_of(obj: Mapping[str, Any]) -> str:
    """Return an object's name, empty where it has none."""
    return str(metadata(obj).get("name") or "")


def namespace_of(obj: Mapping[str, Any]) -> str:
    """Return an object's namespace, empty where it has none."""
    return str(metadata(obj).get("namespace") or "")


def identity(obj: Mapping[str, Any]) -> str:
    """Return Pulumi's ID of an object: NAMESPACE/NAME, or NAME."""
    return "/".join(part for part in (namespace_of(obj), name_of(obj)) if part)


def parse_identity(text: str) -> tuple[str, str]:
    """Split an ID into namespace and name; the namespace is empty where there is none."""
    namespace, _, name = text.rpartition("/")
    return namespace, name


def normalized(inputs: Mapping[str, Any]) -> Object:
    """Write inputs the way the API server stores them, so that equal ones compare equal.

    stringData becomes base64 data, quantities become canonical, and what only a server can set is
    dropped. Of inputs with unknown values, and of custom resources, only the last is true.
    """
    result = copy.deepcopy(dict(inputs))
    kind = kind_name(result)
    if not has_unknown(result) and not kind.is_custom:
        if kind.name == "Secret":
            _encode_strings(result)
        for path in _QUANTITIES.get(kind.name, ()):
            _canonicalize(result, path)
    if isinstance(result.get("metadata"), dict):
        for key in _READ_ONLY:
            result["metadata"].pop(key, None)
    return result


def _encode_strings(secret: Object) -> None:
    strings = secret.get("stringData") or {}
    data = {key: _reencoded(value) for key, value in (secret.get("data") or {}).items()}
    data |= {key: base64.b64encode(str(value).encode()).decode() for key, value in strings.items()}
    if data:
        secret["data"] = data
    if strings:
        del secret["stringData"]


def _reencoded(value: Any) -> Any:
    try:
        return base64.b64encode(base64.b64decode(value, validate=False)).decode()
    except (TypeError, ValueError, binascii.Error):
        return value  # the API server says what is wrong with it


def _canonicalize(value: Any, path: FieldPath) -> None:
    step, *rest = path
    for key in _keys(value, step):
        if rest:
            _canonicalize(value[key], tuple(rest))
        elif isinstance(value[key], str | int) and not isinstance(value[key], bool):
            value[key] = quantities.canonical(str(value[key]))


def _keys(value: Any, step: str) -> Iterable[Any]:
    if isinstance(value, list):
        return range(len(value)) if step == _EACH else ()
    if isinstance(value, dict):
        return tuple(value) if step == _EACH else (step,) if step in value else ()
    return ()


def pruned(live: Any, shape: Any) -> Any:
    """Cut from a live value all that the given shape doesn't have.

    Maps keep the keys of the shape, lists as many elements as the shape has; where the types differ
    the live value stays whole.
    """
    if isinstance(live, dict) and isinstance(shape, dict):
        return {key: pruned(value, shape[key]) for key, value in live.items() if key in shape}
    if isinstance(live, list) and isinstance(shape, list):
        if live and shape and type(live[0]) is not type(shape[0]):
            return copy.deepcopy(live)
        return [pruned(value, like) for value, like in zip(live, shape, strict=False)]
    return live


def comparable(old: State, new: Object) -> tuple[Object, Object]:
    """Bring the live object and normalized inputs into one shape, so that what differs is a change.

    The live object is cut to what was declared before, so that what controllers and defaults add isn't
    a difference. A namespace left out is "default", and none where the live object is in none.
    """
    base = copy.deepcopy(pruned(old.live, normalized(old.inputs)))
    wanted = copy.deepcopy(new)
    for obj in (base, wanted):
        if not isinstance(obj.setdefault("metadata", {}), dict):
            continue
        if namespace_of(old.live):
            obj["metadata"].setdefault("namespace", "default")
        else:
            obj["metadata"].pop("namespace", None)
    base["metadata"].pop("resourceVersion", None)
    if name_of(wanted):
        base["metadata"]["name"] = name_of(old.live)
    return base, wanted


def imported_inputs(live: Mapping[str, Any]) -> Object:
    """Take inputs from an object that Pulumi hasn't seen before: all that a server doesn't set itself."""
    result = normalized({key: value for key, value in live.items() if key != "status"})
    for key in (_REVISION, _LAST_APPLIED):
        result.get("metadata", {}).get("annotations", {}).pop(key, None)
    return result


def kind_name(obj: Mapping[str, Any]) -> KindName:
    """Return the kind that an object says it is."""
    return KindName(api_version=str(obj.get("apiVersion", "")), name=str(obj.get("kind", "")))
