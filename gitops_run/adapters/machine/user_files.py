"""What the user's files and environment say.

This module knows where settings lie (XDG base directories), and that a file with secrets is for its owner's
eyes. It decides nothing: it brings sources, gitops_run.model.session.settings chooses between them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from gitops_run.errors import UsageError
from gitops_run.model.objects.identity import without_quotes
from gitops_run.model.session.settings import PROJECT, SETTINGS, Origin, Setting, Source
from gitops_run.model.text.yaml_limits import Loader

SETTINGS_VARIABLE = "GITOPS_RUN_SETTINGS"
_OTHERS_MAY_READ = 0o077
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def data_directory(environment: Mapping[str, str]) -> Path:
    """Name the directory that keeps the tool's own project, its state and its passphrase."""
    return _xdg(environment, "XDG_DATA_HOME", ".local/share") / PROJECT


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Name the directory for what can be made again."""
    return _xdg(environment, "XDG_CACHE_HOME", ".cache") / PROJECT


def sources(
    environment: Mapping[str, str], *, stack: Source, table: Sequence[Setting] = SETTINGS
) -> tuple[Source, ...]:
    """Bring what the environment, the settings file, the stack and the defaults say, in that order."""
    return (
        environment_source(environment, table),
        *settings_sources(environment),
        stack,
        default_source(environment),
    )


def argument_source(arguments: Mapping[str, object]) -> Source:
    """Bring what a program says, by the names of Settings; paths are relative to the current directory."""
    keys = {setting.attribute: setting.key for setting in SETTINGS}
    said = {
        keys.get(name, name): os.fspath(value) if isinstance(value, os.PathLike) else value
        for name, value in arguments.items()
    }
    return Source(origin=Origin.ARGUMENT, values=_absolute(said, Path.cwd()))


def environment_source(environment: Mapping[str, str], table: Sequence[Setting] = SETTINGS) -> Source:
    """Bring what GITOPS_RUN_ variables say; paths are relative to the current directory."""
    said = {setting.key: environment.get(setting.variable) for setting in table}
    return Source(origin=Origin.ENVIRONMENT, values=_absolute(said, Path.cwd(), table))


def settings_sources(environment: Mapping[str, str]) -> tuple[Source, ...]:
    """Bring what the settings file says; nothing where there is none.

    Raises UsageError where the file that GITOPS_RUN_SETTINGS names is missing, can't be read, or holds
    secrets and is open to others.
    """
    named = environment.get(SETTINGS_VARIABLE)
    path = (
        Path(named) if named else _xdg(environment, "XDG_CONFIG_HOME", ".config") / PROJECT / "settings.yaml"
    )
    if not named and not path.is_file():
        return ()
    values = read_private_mapping(path)
    return (Source(origin=Origin.FILE, values=_absolute(values, path.parent), place=str(path)),)


def read_private_mapping(path: Path) -> dict[str, object]:
    """Read a YAML file. Raises UsageError where it holds secrets and is open to others."""
    values = _read_mapping(path)
    if _has_secrets(values) and path.stat().st_mode & _OTHERS_MAY_READ:
        raise UsageError(
            f"{path} holds secrets, and others may read it", hint=f"restrict it: chmod 600 {path}"
        )
    return values


def has_encrypted_keys(path: Path) -> bool:
    """Report whether a stack's file holds keys of the store that Pulumi has encrypted."""
    config = (_read_mapping(path).get("config") or {}) if path.is_file() else {}
    return isinstance(config, dict) and any(
        isinstance(value := config.get(f"{PROJECT}:{setting.key}"), dict) and "secure" in value
        for setting in SETTINGS
        if setting.is_store_key
    )


def read_stack_file(path: Path, project: str = PROJECT, table: Sequence[Setting] = SETTINGS) -> Source:
    """Bring what a stack's file says, without what is encrypted; nothing where it doesn't exist.

    Raises UsageError on a secret that stands there in the clear.
    """
    document = _read_mapping(path) if path.is_file() else {}
    config = document.get("config") or {}
    if not isinstance(config, dict):
        raise UsageError(f"{path}: config must be a mapping", hint="see stacks/Pulumi.example-kind.yaml")
    prefix = f"{project}:"
    values = {
        key.removeprefix(prefix): value
        for key, value in config.items()
        if key.startswith(prefix) and not (isinstance(value, dict) and "secure" in value)
    }
    for setting in table:
        if setting.is_secret and values.get(setting.key):
            raise UsageError(
                f"{path} has {setting.key} in plain text",
                hint=f"change that key at the store, then: pulumi config set {setting.key} --secret",
            )
    return stack_source(values, path, table)


def stack_source(values: Mapping[str, object], path: Path, table: Sequence[Setting] = SETTINGS) -> Source:
    """Bring what a stack says, wherever it was read; its paths are relative to the project."""
    return Source(origin=Origin.STACK, values=_absolute(values, path.parent.parent, table), place=str(path))


def team_source(values: Mapping[str, object], file: Path, session: str) -> Source:
    """Bring what a team's file says of one session; its paths are relative to the file."""
    place = f"{file}, session {session}"
    return Source(origin=Origin.FILE, values=_absolute(values, file.parent), place=place)


def default_source(environment: Mapping[str, str]) -> Source:
    """Bring the kubeconfig that kubectl would use. Nothing where KUBECONFIG names several files."""
    named = [path for path in environment.get("KUBECONFIG", "").split(os.pathsep) if path]
    if len(named) > 1:
        return Source(origin=Origin.DEFAULT, values={})
    home = Path(environment.get("HOME", "~")).expanduser()
    values = {"kubeconfig": named[0] if named else str(home / ".kube" / "config")}
    return Source(origin=Origin.DEFAULT, values=_absolute(values, Path.cwd()))


def read_ca(path: str | None) -> str:
    """Read a CA file; empty where none is set. Raises UsageError where it isn't a readable PEM file."""
    if path is None:
        return ""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"caFile {path} can't be read: {error}", hint="name a PEM file") from error
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise UsageError(f"caFile {path} contains no certificate", hint="name a PEM file")
    return text


def read_decryption_key(path: str | None) -> str:
    """Read an age key's file; empty where none is set. Raises UsageError where it can't be one.

    The content of the file is never reported.
    """
    if path is None:
        return ""
    text, is_open = _read_secret("decryptionKeyFile", path, "name the file of an age key")
    if not any(line.startswith("AGE-SECRET-KEY-") for line in text.splitlines()):
        raise UsageError(
            f"decryptionKeyFile {path} contains no AGE-SECRET-KEY- line",
            hint="name a file that age-keygen has written",
        )
    if is_open:
        raise _is_open("decryptionKeyFile", path)
    return text


def read_variables(path: str | None) -> dict[str, str]:
    """Read the file with variables that are secret; empty where none is set. Raises UsageError.

    A line is NAME=VALUE, all after the first = being the value; empty lines and those that begin with # are
    left out. The content of the file is never reported.
    """
    if path is None:
        return {}
    text, is_open = _read_secret("substituteFile", path, "name a file of lines NAME=VALUE")
    if is_open:
        raise _is_open("substituteFile", path)
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not _VARIABLE.fullmatch(name) or name in found:
            raise UsageError(
                f"substituteFile {path}, line {number}, is not NAME=VALUE with a new name of letters, digits "
                "and _",
                hint="write a line like: PASSWORD=...",
            )
        found[name] = value
    if not found:
        raise UsageError(f"substituteFile {path} contains no variable", hint="write a line: NAME=VALUE")
    return found


def _read_secret(key: str, path: str, hint: str) -> tuple[str, bool]:
    """Read a file that holds a secret, and say whether others may read it. What is no text is empty."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        return text, bool(Path(path).stat().st_mode & _OTHERS_MAY_READ)
    except OSError as error:
        raise UsageError(f"{key} {path} can't be read: {error.strerror}", hint=hint) from error
    except UnicodeDecodeError:
        return "", False


def _is_open(key: str, path: str) -> UsageError:
    return UsageError(
        f"{key} {path} holds a secret, and others may read it", hint=f"restrict it: chmod 600 {path}"
    )


def _xdg(environment: Mapping[str, str], variable: str, fallback: str) -> Path:
    named = environment.get(variable)
    return Path(named) if named else Path(environment.get("HOME", "~")).expanduser() / fallback


def _read_mapping(path: Path) -> dict[str, object]:
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506 - a safe one
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}", hint="check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # Not from the error: its text has the line, and a traceback would show it.
        raise UsageError(f"{path} is not YAML: {_where(error)}", hint="fix that line") from None
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise UsageError(f"{path} must be a mapping of keys to values", hint="write lines like: key: value")
    return document


def _where(error: Exception) -> str:
    """Report where YAML breaks without quoting the line, which may hold a secret."""
    mark = getattr(error, "problem_mark", None)
    problem = without_quotes(str(getattr(error, "problem", "")))
    return f"line {mark.line + 1}, {problem}" if mark else type(error).__name__


def _has_secrets(values: Mapping[str, object]) -> bool:
    return any(setting.is_secret and values.get(setting.key) for setting in SETTINGS)


def _absolute(
    values: Mapping[str, object], base: Path, table: Sequence[Setting] = SETTINGS
) -> dict[str, object]:
    """Make paths absolute: ~ is the home directory, the rest is relative to base. URLs stay."""
    paths = {setting.key for setting in table if setting.is_path}
    return {
        key: os.path.normpath(base / Path(value).expanduser())
        if key in paths and isinstance(value, str) and value and "://" not in value
        else value
        for key, value in values.items()
    }
