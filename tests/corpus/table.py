"""The targets: folders of public repositories, at versions that are pinned with the sums of their content."""

from __future__ import annotations

from tests.corpus.modules import Module

MODULES = (
    Module(
        "github.com/argoproj/argo-rollouts",
        "v1.8.3",
        "h1:blbtQva4IK9r6gFh+dWkCrLnFdPOWiv9ubQYu36qeaA=",
        """
        docs/features/kustomize/example examples/notifications manifests/dashboard-install
        manifests/namespace-install examples/helm-blue-green test/kustomize/rollout
        """,
    ),
    Module(
        "github.com/argoproj/argo-workflows/v4",
        "v4.0.5",
        "h1:/1lru5oXUd+k6KEDUps6rLX5OKfi1jTfabgXTly/VFU=",
        """
        manifests/base/crds/minimal manifests/components/sso/dex manifests/quick-start/base/httpbin
        manifests/quick-start/base/minio manifests/quick-start/base/webhooks
        manifests/components/mysql
        """,
    ),
    Module(
        "github.com/cert-manager/cert-manager",
        "v1.21.2",
        "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
        "deploy/charts/cert-manager make/config/pebble/chart make/config/samplewebhook/chart",
    ),
    Module(
        "github.com/external-secrets/external-secrets",
        "v0.16.2",
        "h1:iNY+gIgSyL5higXTfnz+hdPCaiB/43UiHLqE7HBpj68=",
        "deploy/charts/external-secrets docs/snippets/gitops/crs docs/snippets/gitops",
    ),
    Module(
        "github.com/fluxcd/flagger",
        "v1.36.1",
        "h1:X2PumtNwZz9YSGaOtZLFm2zAKLgHhFkbNv8beg7ifyc=",
        """
        charts/flagger charts/grafana charts/loadtester charts/podinfo kustomize/base/prometheus
        kustomize/kubernetes kustomize/istio kustomize/linkerd kustomize/podinfo kustomize/tester
        test/skipper
        """,
    ),
    Module(
        "github.com/fluxcd/flux2/v2",
        "v2.9.5",
        "h1:jwCccxvkD+2QnsjN+pl5QqM8KnFUwA8pIoQ1Lf0avkA=",
        """
        cmd/flux/testdata/build-kustomization/configmaps
        cmd/flux/testdata/build-kustomization/delete-service
        cmd/flux/testdata/build-kustomization/new-namespace-and-configmap
        cmd/flux/testdata/build-kustomization/podinfo-with-my-app
        cmd/flux/testdata/build-kustomization/podinfo
        cmd/flux/testdata/build-kustomization/var-substitution manifests/policies manifests/rbac
        internal/build/testdata/invalid-labels
        """,
    ),
    Module(
        "github.com/fluxcd/helm-controller",
        "v1.6.4",
        "h1:u/Ew7LehrwDQaE/NqWdaB3XnNDCxRGDcp1FZl7RKj4g=",
        """
        config/testdata/charts/crds/v1
        config/testdata/charts/upgrade-chart-name-change/podinfo-renamed
        """,
    ),
    Module(
        "github.com/fluxcd/kustomize-controller",
        "v1.9.5",
        "h1:/XY2zy3K7fntyppEXIHG7oRMzmfgIt50eJzUfaPX1Kc=",
        """
        config/rbac config/manager config/testdata/overlays
        internal/controller/testdata/file-transformer internal/controller/testdata/invalid/overlay
        internal/controller/testdata/transformers
        """,
    ),
    Module(
        "github.com/fluxcd/pkg/kustomize",
        "v1.35.6",
        "h1:1vLzLs2o6EodFOFzrpjl8cYsgmhjqs1iEpGk8nOfstU=",
        """
        testdata/buildMetadata testdata/name testdata/openapiPollution/pollutor
        testdata/openapiPollution/victim testdata/relbase/clusters/staging/flux-system
        testdata/varsubalways testdata/components testdata/panic
        """,
    ),
    Module(
        "github.com/fluxcd/source-controller",
        "v1.9.3",
        "h1:Zj1gfvK/2MFIm/K3vh5fSHoJBoggLKMuLWf5ZEmaF0w=",
        """
        config/manager config/rbac internal/controller/testdata/charts/helmchart
        internal/helm/testdata/charts/helmchart-v1
        """,
    ),
    Module(
        "github.com/google/cadvisor",
        "v0.56.2",
        "h1:ra6p4Nxc4zT8VLbZscWUxhvjsqy+1AzMvuSdEM90o1w=",
        "deploy/kubernetes/base",
    ),
    Module(
        "github.com/kedacore/keda/v2",
        "v2.21.0",
        "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
        """
        config/crd config/default config/general config/manager config/metrics-server config/minimal
        config/rbac config/samples config/service_account
        """,
    ),
    Module(
        "github.com/kyverno/kyverno",
        "v1.19.1",
        "h1:/MkgFii3/VlQfKR1JpC9tVwNNVNQTt2S4U6qCsafsTU=",
        "charts/kyverno-policies charts/kyverno",
    ),
    Module(
        "github.com/metallb/frr-k8s",
        "v0.0.21",
        "h1:JLlCeXVlW5BLVdPy2u5sS9UCVlnK9x2vzWbIkxb8Atk=",
        """
        charts/frr-k8s config/crd config/default config/frr-k8s config/rbac
        config/testenv/prometheus
        """,
    ),
    Module(
        "github.com/open-policy-agent/gatekeeper/v3",
        "v3.23.1",
        "h1:njHTm0SJ6ZEhhEgmQTpJKTGQbc99fSs4hGiEp1OIKck=",
        """
        charts/gatekeeper config/crd config/default config/manager config/pdb config/rbac
        config/secret
        """,
    ),
    Module(
        "github.com/ray-project/kuberay/ray-operator",
        "v1.5.0",
        "h1:KCjCQ7PSsvs9Ke+90CZbbs498nuaIJ/JkXk4vd54EVg=",
        "config/certmanager config/manager config/rbac",
    ),
    Module(
        "github.com/stefanprodan/podinfo",
        "v1.8.1-0.20250910200901-e86405a8674e",
        "h1:ikpMMm5HbQT/1DehrPM+Lpwk3WAw/1Hg540eR+jsXus=",
        """
        charts/podinfo deploy/bases/backend deploy/bases/cache deploy/bases/frontend
        deploy/overlays/dev deploy/overlays/production deploy/overlays/staging kustomize
        """,
    ),
    Module(
        "github.com/versity/versitygw",
        "v1.8.0",
        "h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc=",
        "chart",
    ),
    Module(
        "github.com/vmware-tanzu/velero",
        "v1.18.3",
        "h1:9uwN5yxTWQl9PsF5ljX4xiG+7VIq3I9mxOQ0DyyZ31A=",
        "design/CLI/PoC/base",
    ),
    Module(
        "go.universe.tf/metallb",
        "v0.16.2",
        "h1:RCSAGoZmqcvTg0e56+Okbwz8iTuQVX30JpKX5mYEPUM=",
        """
        charts/metallb config/controllers config/crd config/frr config/native config/networkpolicies
        config/prometheus-native config/rbac
        """,
    ),
    Module(
        "helm.sh/helm/v4",
        "v4.2.4",
        "h1:qIysMI0JpTC4WXf3AQ99V6rZGT0+gO0Ww8IOnnUnaZk=",
        """
        pkg/cmd/testdata/testcharts/alpine pkg/cmd/testdata/testcharts/chart-with-lib-dep
        pkg/cmd/testdata/testcharts/chart-with-only-crds
        pkg/cmd/testdata/testcharts/chart-with-schema
        pkg/cmd/testdata/testcharts/chart-with-schema-negative
        pkg/cmd/testdata/testcharts/chart-with-secret
        pkg/cmd/testdata/testcharts/chart-with-subchart-notes
        pkg/cmd/testdata/testcharts/chart-with-template-lib-dep
        pkg/cmd/testdata/testcharts/chart-with-template-with-invalid-yaml
        pkg/cmd/testdata/testcharts/chart-bad-requirements pkg/cmd/testdata/testcharts/issue-7233
        pkg/cmd/testdata/testcharts/issue-9027 pkg/cmd/testdata/testcharts/object-order
        pkg/cmd/testdata/testcharts/subchart
        pkg/chart/v2/util/testdata/three-level-dependent-chart/umbrella
        pkg/chart/v2/util/testdata/frobnitz
        pkg/action/testdata/charts/chart-with-compressed-dependencies
        """,
    ),
    Module(
        "k8s.io/cli-runtime",
        "v0.36.4",
        "h1:OHvManCwP1k9GiC5tXRFxHhzZIQQFCsrHlt7OspKo3w=",
        "artifacts/kustomization",
    ),
    Module(
        "k8s.io/kubernetes",
        "v1.36.3",
        "h1:qDQdoMiluAE2Eab6Fa52YV+WjiGz9mZFFoagEA6cI+o=",
        "hack/testdata/kustomize",
    ),
    Module(
        "k8s.io/pod-security-admission",
        "v0.36.3",
        "h1:nWRx42eQwSkapa0TPwtho35adfSziRmPYuzwU+4xPpo=",
        "webhook/manifests",
    ),
    Module(
        "sigs.k8s.io/aws-load-balancer-controller",
        "v1.1.9",
        "h1:nD0YIJIJJGq666QUFJF61H6deTOAroKpf1XZcyjLHPw=",
        "docs/examples",
    ),
    Module(
        "sigs.k8s.io/cluster-api",
        "v1.14.2",
        "h1:o3GFNaeNFAOEEMpDPfhCK+2CjmV6gtQ8yLEcUwCg7bA=",
        """
        bootstrap/kubeadm/config/certmanager bootstrap/kubeadm/config/crd
        bootstrap/kubeadm/config/rbac bootstrap/kubeadm/config/default
        controlplane/kubeadm/config/crd controlplane/kubeadm/config/rbac cmd/clusterctl/config/crd
        core/config/metrics core/config/rbac
        """,
    ),
    Module(
        "sigs.k8s.io/descheduler",
        "v0.36.0",
        "h1:fBemfJD1RhmbsdH94lKwGMOwQcbsrw67A5IK2c2fANA=",
        "charts/descheduler kubernetes/base kubernetes/cronjob kubernetes/deployment kubernetes/job",
    ),
    Module(
        "sigs.k8s.io/external-dns",
        "v0.18.0",
        "h1:JFzFpbmRRP6zs/sNOQvdhDfhfx2hXzlf67Wgb5IOTRQ=",
        "charts/external-dns kustomize",
    ),
    Module(
        "sigs.k8s.io/gateway-api",
        "v1.6.3",
        "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=",
        "config/crd",
    ),
    Module(
        "sigs.k8s.io/kueue",
        "v0.17.0",
        "h1:7hzb38M4eKGzYW+CFv2s1L+swzzacUCHOCXxZmAV90I=",
        """
        charts/kueue cmd/importer/run-in-cluster config/components/certmanager
        config/components/kueueviz config/components/manager config/components/prometheus
        config/components/rbac config/components/visibility config/components/visibility-apf
        config/components/internalcert test/e2e/config/multikueue config/default
        """,
    ),
    Module(
        "sigs.k8s.io/kustomize/api",
        "v0.21.1",
        "h1:lzqbzvz2CSvsjIUZUBNFKtIMsEw7hVLJp0JeSIVmuJs=",
        """
        krusty/testdata/localize/simple krusty/testdata/remoteload/multibase/base
        krusty/testdata/remoteload/multibase/dev krusty/testdata/remoteload/simple
        """,
    ),
    Module(
        "sigs.k8s.io/kwok",
        "v0.8.0",
        "h1:OTIOTwgROqPMovcTwxICx2eYQ4AwLpSx5EpjbDKF4SQ=",
        """
        charts/kwok charts/metrics-usage charts/stage-fast kustomize/crd kustomize/kwok
        kustomize/kwokctl kustomize/kwokctl/resource kustomize/rbac
        kustomize/stage/fast kustomize/stage/pod/general test/e2e test/kwok
        """,
    ),
    Module(
        "sigs.k8s.io/metrics-server",
        "v0.8.0",
        "h1:Zlsi3sBWEtFKCD3+xSysThvXyLQ363rUAlqpnsY5JwI=",
        """
        charts/metrics-server manifests/base manifests/overlays/release
        manifests/overlays/release-ha manifests/overlays/release-ha-1.21+ manifests/overlays/test-ha
        manifests/overlays/test
        """,
    ),
    Module(
        "sigs.k8s.io/network-policy-api",
        "v0.3.0",
        "h1:RL6fVXiix9IW1pj0ImkW645m+EWmb3dBGCiW19bg5+k=",
        "config/crd/experimental config/crd/standard",
    ),
)
