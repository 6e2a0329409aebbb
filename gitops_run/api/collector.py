"""Find what a cluster's sessions leave behind or have outlived, and suspend, end or remove it where asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from anyio import to_thread

from gitops_run.adapters.cluster import control
from gitops_run.adapters.cluster.bounds import has_policies
from gitops_run.adapters.cluster.collected import list_for_gc, remove_orphans
from gitops_run.adapters.cluster.connection import Connection, connect
from gitops_run.adapters.cluster.facts import read_user
from gitops_run.adapters.cluster.listing import list_states, read_state
from gitops_run.adapters.machine import user_files
from gitops_run.adapters.pulumi import locks
from gitops_run.adapters.store.admin import open_store
from gitops_run.adapters.store.keys import open_keys
from gitops_run.api import requests, sessions
from gitops_run.api.caller import Caller
from gitops_run.api.sessions import home_of
from gitops_run.errors import GitOpsRunError, GuardError, NotFound, TransientError, UsageError
from gitops_run.flows import gc
from gitops_run.flows.gc import Done
from gitops_run.model.flux.requests import Request, Verb
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.limits import write_time
from gitops_run.model.session.request import SessionRequest
from gitops_run.model.session.settings import Settings
from gitops_run.model.session.spec import parse_s3_store
from gitops_run.model.session.tombstone import Tombstone
from gitops_run.model.stack.collection import Finding, Kind, Listing, collect, pending
from gitops_run.model.state.record import Record
from gitops_run.model.state.session_state import SessionState, Suspension
from gitops_run.model.store.keys import MadeKeys


async def find(settings: Settings, caller: Caller) -> tuple[Finding, ...]:
    """Find what is due and what is left behind; changes nothing. Raises BackendError, as list_for_gc."""
    async with connect(settings.require("kubeconfig"), settings.require("context")) as connection:
        listing = await _listing(connection, settings, caller)
    return collect(listing, datetime.now(UTC))


async def apply(settings: Settings, caller: Caller, tell: Callable[[Done], None]) -> tuple[Done, ...]:
    """Find what is due and what is left behind, and do what that calls for. Raises as find."""
    async with connect(settings.require("kubeconfig"), settings.require("context")) as connection:
        listing = await _listing(connection, settings, caller)
        collector = Collector(
            connection=connection,
            listing=listing,
            settings=settings,
            caller=caller,
            user=await read_user(connection),
            stacks=await _stacks_here(listing, caller),
            now=partial(datetime.now, UTC),
        )
        return await gc.act(collect(listing, datetime.now(UTC)), collector, tell)


async def _listing(connection: Connection, settings: Settings, caller: Caller) -> Listing:
    stored = await to_thread.run_sync(_stored, settings, caller.report)
    listing, unseen = await list_for_gc(connection, stored)
    dead = await to_thread.run_sync(locks.dead_locks, home_of(caller))
    if unseen:
        caller.report(f"not looked for, since you may not list them: {', '.join(unseen)}")
    return replace(listing, locks=dead)


def _stored(settings: Settings, report: Callable[[str], None]) -> tuple[str, ...]:
    """List buckets and keys, where the settings have the store's administrator's key and it may list them."""
    if not (settings.endpoint and settings.access_key and settings.secret_key):
        report(
            "buckets and keys are not looked for: the settings name no store and no key of its administrator"
        )
        return ()
    try:
        access = parse_s3_store(settings, user_files.read_ca(settings.ca_file)).access
        with open_store(access) as store:
            buckets = store.names()
        names: frozenset[str] | None = frozenset()
        with suppress(UsageError), open_keys(access) as keys:  # the key may administer buckets alone
            names = keys.names()
    except GitOpsRunError as error:
        report(f"buckets and keys are not looked for: {error.message}")
        return ()
    return (*sorted(buckets), *sorted(names or ()))


def _remove_stored(settings: Settings, finding: Finding) -> None:
    """Remove a bucket or a key by the key that listed it. Raises BackendError where the store refuses."""
    access = parse_s3_store(settings, user_files.read_ca(settings.ca_file)).access
    if finding.is_key:
        with open_keys(access) as keys:
            keys.remove(finding.stored)
        return
    with open_store(access) as store, suppress(NotFound):  # gone meanwhile is fine
        store.close(finding.stored)
        store.empty(finding.stored)
        store.remove(finding.stored)


async def _stacks_here(listing: Listing, caller: Caller) -> frozenset[tuple[str, str]]:
    """List the sessions of this cluster whose stack is on this machine, by namespace and name."""
    try:
        names = await sessions.stacks_of(listing.uid, caller)
    except GitOpsRunError as error:
        caller.report(f"sessions are ended by their labels: {error.message}")
        return frozenset()
    return names


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Do what was found. user: who asks, as the cluster says.

    stacks: the namespace and name of each session whose stack is here.
    """

    connection: Connection
    listing: Listing
    settings: Settings
    caller: Caller
    user: str
    stacks: frozenset[tuple[str, str]]
    now: Callable[[], datetime]

    async def warn(self, finding: Finding) -> bool:
        """Warn once in the record of a session that nobody syncs; a live sync warns there itself."""
        state = await self._still_due(finding)
        if state is None:
            return False
        record = state.record or Record()
        if finding.kind is Kind.IDLING:
            warned = replace(record, warned_idle=write_time(state.idle_at) if state.idle_at else "")
        else:
            warned = replace(record, warned=write_time(state.ends_at) if state.ends_at else "")
        if not state.is_synced and warned != record:
            await requests.write_record(self.connection, state, warned)
        return True

    async def suspend(self, finding: Finding) -> bool:
        """Suspend an idle session in the name of whoever asks."""
        state = await self._still_due(finding)
        if state is None:
            return False
        why = Suspension(by=self.user, reason=finding.reason, at=write_time(self.now()))
        await control.suspend(self.connection, state, why)
        return True

    async def answer(self, finding: Finding) -> bool:
        """Carry out what somebody asks of a session, or refuse it, and answer in its record.

        The record of an ended session goes with it; that of one that is synced is the sync's to write, and an
        end that is refused there is withdrawn. What fails and may come back is left for the next time.
        """
        state = await self._still_due(finding)
        request = pending(state) if state else None
        if state is None or request is None:
            return await self._caught_up(finding)
        is_bound = await has_policies(self.connection)
        if is_bound and request.verb == Verb.END:
            return await self._end(state, finding.reason)
        if state.is_synced:  # what its sync leaves is the end
            await control.withdraw(self.connection, state)
            raise GuardError(requests.NOT_BOUND, hint="install them: gitops-run platform up")
        refusal = await self._refusal(state, request) if is_bound else requests.NOT_BOUND
        if refusal:
            self.caller.report(f"session {state.name}: {request.verb} is refused: {refusal}")
        await requests.record_answer(self.connection, state, request, refusal, self.now())
        return True

    async def _caught_up(self, finding: Finding) -> bool:
        """Write the row of a session whose record has an answer that its row lacks.

        A gc that was killed between the two leaves that, and the request would be found again for ever.
        """
        try:
            state = await read_state(self.connection, self._key(finding.session, finding.namespace))
        except NotFound:
            return False
        answers, shown = (state.record.answers if state.record else ()), state.summary
        if state.record is None or state.is_synced or not answers:
            return False
        if shown is not None and shown.answer is not None and shown.answer.request == answers[-1].request:
            return False
        await requests.write_record(self.connection, state, state.record)
        return True

    async def _refusal(self, state: SessionState, request: Request) -> str:
        """Carry out a request, and say why it can't be; "" where it is done."""
        try:
            await requests.carry_out(self.connection, state, request)
        except TransientError:
            raise
        except GitOpsRunError as error:
            return error.message
        return ""

    async def end(self, finding: Finding) -> bool:
        """End a session as `down` does where its stack is here, else by its labels, and leave word of it."""
        state = await self._still_due(finding)
        return state is not None and await self._end(state, finding.reason)

    async def _end(self, state: SessionState, reason: str) -> bool:
        name = SessionName.parse(state.name)
        if (state.namespace, name.text) in self.stacks:
            key = self._key(state.name, state.namespace)
            allowed = self.settings.allow_contexts
            request = await sessions.ending_by_stack(key, self.listing.uid, allowed, self.caller)
            await sessions.down(request, self.caller)
            return True
        stone = Tombstone(
            session=name.text,
            namespace=state.namespace,
            by=self.user,
            at=write_time(self.now()),
            reason=reason,
        )
        await sessions.down_from_cluster(self._request(name, state), self.caller, stone)
        return True

    async def remove(self, finding: Finding) -> bool:
        """Remove objects whose session is still gone."""
        if self._again(finding, await list_states(self.connection, is_complete=True)) is None:
            return False
        await remove_orphans(self.connection, finding)
        return True

    async def discard(self, finding: Finding) -> bool:
        """Remove a bucket or a key whose session is still gone. A bucket is closed and emptied first."""
        if self._again(finding, await list_states(self.connection, is_complete=True)) is None:
            return False
        await to_thread.run_sync(_remove_stored, self.settings, finding)
        return True

    async def unlock(self, finding: Finding) -> bool:
        """Remove the lock of a stack on this machine whose process has ended."""
        return finding.lock is not None and locks.remove(finding.lock)

    async def _still_due(self, finding: Finding) -> SessionState | None:
        """Read the session once more: somebody may have extended, saved, resumed or ended it meanwhile."""
        seen = finding.state
        if seen is None or seen.is_incomplete:
            states = await list_states(self.connection, is_complete=True)
        else:
            try:
                states = (await read_state(self.connection, self._key(finding.session, finding.namespace)),)
            except NotFound:
                return None
        again = self._again(finding, states)
        return again.state if again else None

    def _key(self, name: str, namespace: str) -> SessionKey:
        return SessionKey.of(SessionName.parse(name), replace(self.settings, namespace=namespace))

    def _again(self, finding: Finding, states: Sequence[SessionState]) -> Finding | None:
        """Find the same thing in what is seen now; None where it doesn't hold any more."""
        stored = (finding.stored,) if finding.stored else ()
        now = collect(replace(self.listing, states=states, stored=stored), self.now())
        place = (finding.kind, finding.namespace, finding.session)
        return next((one for one in now if (one.kind, one.namespace, one.session) == place), None)

    def _request(self, name: SessionName, state: SessionState) -> SessionRequest:
        """Describe the session by what the cluster says of it, for somebody who has no stack of it."""
        settings = replace(
            self.settings,
            namespace=state.namespace,
            owner=state.known_owner or None,
            target=next(iter(state.place.targets), ".") if state.place else ".",
            store=self._store(name, state),
        )
        if settings.store != "s3":
            settings = replace(settings, endpoint=None)
        return SessionRequest(
            key=SessionKey.of(name, settings),
            settings=settings,
            ca=user_files.read_ca(settings.ca_file),
            now=write_time(self.now()),
        )

    def _store(self, name: SessionName, state: SessionState) -> str:
        """Say which store is cleaned: none but the cluster's where the keys of the session's aren't here."""
        place, settings = state.place, self.settings
        kind = place.store if place else "s3"
        if kind != "s3":
            return kind
        has_keys = bool(settings.endpoint and settings.access_key and settings.secret_key)
        endpoint = (settings.endpoint or "").removeprefix("https://")
        if has_keys and (place is None or place.endpoint == endpoint):
            return "s3"
        if place is not None:
            both = " and ".join(MadeKeys.of(place.bucket).both)
            self.caller.report(
                f"not removed of session {name}, since the key for that is not here: bucket {place.bucket} "
                f"at {place.endpoint}, and its keys {both}"
            )
        return "in-cluster"
