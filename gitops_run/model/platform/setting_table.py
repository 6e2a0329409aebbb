"""The table of a platform's settings: every key with its type, default and meaning."""

from __future__ import annotations

from typing import Final

from gitops_run.model.rights.pod_security import LEVELS, RESTRICTED
from gitops_run.model.session.isolation import AMOUNT, AMOUNT_EXAMPLE, ISOLATIONS, NAMESPACE
from gitops_run.model.session.limits import DURATION_OR_NEVER
from gitops_run.model.session.setting_table import DNS_LABEL, SETTINGS, Setting
from gitops_run.model.session.teams import TEAM_AMOUNT

_SHARED: Final = ("context", "kubeconfig", "cluster", "allowContexts")
_HTTP: Final = r"https?://\S+"

PLATFORM_SETTINGS: Final[tuple[Setting, ...]] = (
    *(setting for setting in SETTINGS if setting.key in _SHARED),
    Setting(
        key="fluxVersion",
        description="The release of Flux to install; an existing Flux stays unchanged.",
        default="2.9.5",
        pattern=r"\d+\.\d+\.\d+",
        example="2.9.5",
    ),
    Setting(
        key="fluxManifests",
        description="Flux's install.yaml, as a file or URL; by default that of the release.",
        is_path=True,
    ),
    Setting(
        key="fluxRegistry",
        description="The registry that holds Flux's images, for closed networks; by default that of "
        "the manifests.",
        pattern=r"[a-zA-Z0-9][a-zA-Z0-9._:/-]*",
        example="registry.example.com/fluxcd",
    ),
    Setting(
        key="fluxReceiver",
        description="The address to which Flux sends events; without one, Flux sends none.",
        pattern=_HTTP,
        example="http://notification-controller.flux-system.svc.cluster.local./",
    ),
    Setting(
        key="sessionPodSecurity",
        description="The least strict Pod Security level that sessions may have: restricted, or baseline.",
        default=RESTRICTED,
        allowed=LEVELS,
    ),
    Setting(
        key="sessionIsolation",
        description="The least strict isolation that sessions may have: namespace, or cluster.",
        default=NAMESPACE,
        allowed=ISOLATIONS,
    ),
    *(
        Setting(
            key=key,
            description=description,
            kind="array",
            default=(),
            pattern=AMOUNT,
            example=AMOUNT_EXAMPLE,
            is_keyed=True,
        )
        for key, description in (
            ("sessionQuota", "The quota of sessions that set none, as RESOURCE=AMOUNT."),
            ("sessionMaxQuota", "The largest quota that a session may have, as RESOURCE=AMOUNT."),
        )
    ),
    Setting(
        key="teamQuota",
        description="The quota of all sessions of a team together, as TEAM/RESOURCE=AMOUNT.",
        kind="array",
        default=(),
        pattern=TEAM_AMOUNT,
        example="payments/cpu=32",
        is_keyed=True,
    ),
    Setting(
        key="sessionIngressFrom",
        description="Namespaces whose pods may connect to sessions' pods, such as that of the ingress "
        "controller.",
        kind="array",
        default=(),
        pattern=DNS_LABEL,
        example="ingress-nginx",
    ),
    *(
        Setting(key=key, description=description, pattern=DURATION_OR_NEVER, example=example)
        for key, description, example in (
            ("sessionTtl", "The TTL of sessions that set none, such as 3d; else sessionMaxTtl.", "3d"),
            ("sessionMaxTtl", "The longest TTL that a session may have, extensions included.", "14d"),
            (
                "sessionIdleLimit",
                "The idle limit of sessions that set none; else sessionMaxIdleLimit.",
                "8h",
            ),
            ("sessionMaxIdleLimit", "The longest idle limit that a session may have.", "1d"),
        )
    ),
    Setting(
        key="collectorImage",
        description="The image of make image, in which a CronJob runs gc; without one there is none.",
        pattern=r"[a-zA-Z0-9][a-zA-Z0-9._:/@-]*",
        example="registry.example.com/gitops-run:0.1.0",
    ),
    Setting(
        key="collectorSchedule",
        description="When that CronJob runs, in UTC, as cron writes it.",
        default="*/10 * * * *",
        pattern=r"(\S+ ){4}\S+",
        example="*/10 * * * *",
    ),
)
