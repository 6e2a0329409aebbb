"""A session's state and record: the ConfigMaps that its loop writes and everybody else reads.

This module knows who owns which key. What they hold is the owner's word: it is read only of a
session, and proves nothing. Source: Kubernetes server-side apply.
"""

from __future__ import annotations

from typing import Final

from gitops_run.adapters.cluster.connection import APPLY_PATCH, ConflictError, Connection, Json
from gitops_run.adapters.cluster.paths import map_path
from gitops_run.errors import BackendError, NotFound, TransientError
from gitops_run.model.names import LOOP_KEY, RECORD_MAP, STATE_MAP
from gitops_run.model.state.record import Record
from gitops_run.model.state.summary import Summary
from gitops_run.model.state.texts import parse_record, parse_summary

ONLY_STATES: Final = {"fieldSelector": f"metadata.name={STATE_MAP}"}
_AS_LOOP: Final = "?fieldManager=gitops-run-loop&force=true"


class RecordMaps:
    """Write one session's state and record. Fulfils flows.recorder.Publishes."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self._uids: dict[str, str] = {}

    async def write_state(self, text: str) -> None:
        """Write what a row shows. Raises BackendError."""
        await self._write(STATE_MAP, text)

    async def write_record(self, text: str) -> None:
        """Write the record. Raises BackendError."""
        await self._write(RECORD_MAP, text)

    async def _write(self, name: str, text: str) -> None:
        path = map_path(self._namespace, name)
        try:
            await self._connection.patch(path + _AS_LOOP, await self._body(path, name, text), APPLY_PATCH)
        except ConflictError:
            self._uids.pop(name, None)  # another one has taken its place
            raise
        except TransientError:
            raise
        except (BackendError, NotFound) as error:
            raise BackendError(
                f"others can't see this session's saves: ConfigMap {self._namespace}/{name} can't be "
                "written: "
                f"{error.message}",
                hint="if the session or its platform is older than this program: gitops-run up NAME; "
                "gitops-run platform up",
            ) from error

    async def _body(self, path: str, name: str, text: str) -> Json:
        """Write what is applied. By its uid it creates no ConfigMap, which would not be the stack's."""
        if name not in self._uids:
            self._uids[name] = (await self._connection.get(path))["metadata"]["uid"]
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": self._namespace, "uid": self._uids[name]},
            "data": {LOOP_KEY: text},
        }


async def read_record(connection: Connection, namespace: str) -> Record | None:
    """Read a session's record; None where there is none, or where this user may not read it."""
    return to_record(await connection.find(map_path(namespace, RECORD_MAP)))


def to_record(live: Json) -> Record | None:
    """Read a record's ConfigMap."""
    return parse_record(_text(live))


def to_summary(live: Json) -> Summary | None:
    """Read a state's ConfigMap."""
    return parse_summary(_text(live))


def _text(live: Json) -> str:
    return str((live.get("data") or {}).get(LOOP_KEY, ""))
