"""What a session is made or ended with, and what is refused, in this order: a context that nobody allowed;
then, by the cluster's facts, another cluster, another owner, and of what is made also another target, an
open namespace, a Flux that isn't locked down, and keys that open the buckets of others.

The same for `pulumi up` typed by hand and for the tool. This module asks nobody: its callers bring the facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gitops_run.model.rights.pod_security import refuse_pod_security
from gitops_run.model.session import contexts
from gitops_run.model.session.bounds import refuse_unlocked
from gitops_run.model.session.isolation import refuse_isolation, refuse_quota
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.limits import expires, latest, refuse_ended, refuse_limits
from gitops_run.model.session.refusals import (
    refuse_foreign,
    refuse_other_isolation,
    refuse_other_target,
    refuse_unbounded,
)
from gitops_run.model.session.settings import Settings
from gitops_run.model.session.spec import (
    ClusterFacts,
    SessionSpec,
    parse_spec,
    with_decryption_key,
    with_given_keys,
    with_secret_variables,
)
from gitops_run.model.session.teams import TeamSession, refuse_team


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """Ask for one session's beginning or end.

    ca: what caFile holds. now: RFC 3339, when it is asked. decryption_key, variables: what decryptionKeyFile
    and substituteFile hold. keys_elsewhere: as for refuse_shared_keys. These three are needed to make a
    session, not to end one.
    """

    key: SessionKey
    settings: Settings
    ca: str
    now: str
    decryption_key: str = field(default="", repr=False)
    keys_elsewhere: Mapping[str, str] = field(default_factory=dict, repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    def secrets(self) -> Iterator[str]:
        """Yield every value that no text may hold."""
        keys = (self.settings.secret_key, self.settings.reader_secret_key, self.settings.writer_secret_key)
        yield from (key for key in (*keys, self.decryption_key, *self.variables.values()) if key)


def refuse_context(request: SessionRequest) -> None:
    """Refuse a context that nobody allowed, before its cluster is asked. Raises GuardError."""
    contexts.guard(request.key.context, request.settings.allow_contexts)


def described(request: SessionRequest, facts: ClusterFacts) -> SessionSpec:
    """Describe the session that is to be made or ended. Raises as parse_spec, and GuardError on another's."""
    spec = parse_spec(request.key, request.settings, facts, ca=request.ca, created=request.now)
    refuse_foreign(spec, facts)
    return with_decryption_key(with_secret_variables(spec, request.variables), request.decryption_key)


def admitted(spec: SessionSpec, request: SessionRequest, facts: ClusterFacts) -> SessionSpec:
    """Give a described session that is to be made its keys, and refuse what may not be made.

    Raises GuardError on another target or isolation, pods or a Flux with too many rights, a quota or limits
    beyond the platform's rules, a session whose time is over, or shared keys; UsageError where a part of the
    keys is missing.
    """
    settings = request.settings
    refuse_other_target(spec, facts)
    refuse_other_isolation(spec, facts)
    refuse_isolation(spec.isolation, facts.rules)
    if spec.bounds:
        refuse_quota(spec.bounds.quota, facts.rules.max_quota)
        asked = TeamSession(team=spec.team, namespace=spec.namespace, hard=spec.bounds.quota.hard)
        refuse_team(asked, facts.rules.teams, facts.team_sessions)
    refuse_unbounded(spec, facts)
    refuse_pod_security(spec.pod_security, facts.pod_security)
    refuse_limits(spec.limits, facts.time)
    if facts.target and spec.limits.ttl:
        end = latest(expires(spec.limits, spec.created), facts.extended)
        refuse_ended(spec.name.text, end, request.now)
    refuse_unlocked(spec, facts, is_allowed=settings.allow_unlocked_flux)
    return with_given_keys(spec, settings, request.keys_elsewhere)
