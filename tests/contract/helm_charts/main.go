// Command helm_charts renders charts as source-controller packages and helm-controller renders them, with the
// packages of Helm that they have.
//
// It reads lines of JSON from standard input (see question). For each it writes one line of JSON:
// {"objects": [OBJECT, …]} or {"error": MESSAGE}. Hooks are left out, and what Helm adds as it applies.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/fluxcd/pkg/runtime/transform"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/kube/fake"
	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage"
	"helm.sh/helm/v4/pkg/storage/driver"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	decoder "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/yaml"
)

type question struct {
	Root, Target, Suffix, Namespace, Name, KubeVersion string
	ValuesFiles, APIVersions                           []string
	IsUpgrade                                          bool
}

type answer struct {
	Objects []json.RawMessage `json:"objects,omitempty"`
	Error   string            `json:"error,omitempty"`
}

func main() {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	lines, answers := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		objects, err := answered(asked)
		given := answer{Objects: objects}
		if err != nil {
			given = answer{Error: err.Error()}
		}
		if err := answers.Encode(given); err != nil {
			panic(err)
		}
	}
}

func answered(asked question) ([]json.RawMessage, error) {
	packaged, err := packed(asked)
	if err != nil {
		return nil, err
	}
	version, err := common.ParseKubeVersion(asked.KubeVersion)
	if err != nil {
		return nil, err
	}
	configuration := &action.Configuration{
		Capabilities: &common.Capabilities{KubeVersion: *version, APIVersions: asked.APIVersions},
		KubeClient:   &fake.PrintingKubeClient{Out: io.Discard},
		Releases:     storage.Init(driver.NewMemory()),
	}
	install := action.NewInstall(configuration)
	install.DryRunStrategy, install.IsUpgrade = action.DryRunServer, asked.IsUpgrade
	install.ReleaseName, install.Namespace, install.Devel, install.SkipCRDs = asked.Name, asked.Namespace, true, true
	install.PostRenderer = kustomized{}
	done, err := install.Run(packaged, map[string]any{})
	if err != nil {
		return nil, err
	}
	found, err := documents(done.(*release.Release).Manifest)
	if asked.IsUpgrade { // helm-controller applies them by installs alone
		return found, err
	}
	for _, file := range packaged.CRDObjects() {
		more, problem := documents(string(file.File.Data))
		found, err = append(found, more...), errors.Join(err, problem)
	}
	return found, err
}

// packed loads a chart, changes it as internal/helm/chart/builder_local.go of source-controller does, and loads
// the archive that comes of it.
func packed(asked question) (*chart.Chart, error) {
	found, err := loader.LoadDir(filepath.Join(asked.Root, asked.Target))
	if err != nil {
		return nil, err
	}
	version, err := semver.NewVersion(found.Metadata.Version)
	if err != nil {
		return nil, err
	}
	changed, err := version.SetMetadata(asked.Suffix)
	if err != nil {
		return nil, err
	}
	found.Metadata.Version = changed.String()
	if err := overwriteValues(found, asked); err != nil {
		return nil, err
	}
	if err := addLocal(found, asked); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "packed")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	archive, err := chartutil.Save(found, folder)
	if err != nil {
		return nil, err
	}
	return loader.LoadFile(archive)
}

func overwriteValues(found *chart.Chart, asked question) error {
	if len(asked.ValuesFiles) == 0 {
		return nil
	}
	merged := map[string]any{}
	for _, path := range asked.ValuesFiles {
		text, err := os.ReadFile(filepath.Join(asked.Root, path))
		if err != nil {
			return err
		}
		values := map[string]any{}
		if err := yaml.Unmarshal(text, &values); err != nil {
			return err
		}
		merged = transform.MergeMaps(merged, values)
	}
	text, err := yaml.Marshal(merged)
	for _, file := range found.Raw {
		if file.Name == chartutil.ValuesfileName {
			file.Data, found.Values = text, merged
			return err
		}
	}
	return errors.New("failed to locate values file")
}

// addLocal packages what the folder charts lacks, as dependency_manager.go of source-controller does.
func addLocal(found *chart.Chart, asked question) error {
	there := map[string]bool{}
	for _, one := range found.Dependencies() {
		there[one.Name()] = true
	}
	if len(there) == len(found.Metadata.Dependencies) {
		return nil
	}
	for _, declared := range found.Metadata.Dependencies {
		if name := declared.Alias; there[name] || (name == "" && there[declared.Name]) {
			continue
		}
		local, err := loader.LoadDir(
			filepath.Join(asked.Root, asked.Target, strings.TrimPrefix(declared.Repository, "file://")))
		if err != nil {
			return err
		}
		wanted, err := semver.NewConstraint(declared.Version)
		if err != nil {
			return err
		}
		if version, err := semver.NewVersion(local.Metadata.Version); err != nil || !wanted.Check(version) {
			return fmt.Errorf("can't get a valid version for dependency '%s'", declared.Name)
		}
		found.AddDependency(local)
	}
	return nil
}

func documents(text string) ([]json.RawMessage, error) {
	found, stream := []json.RawMessage{}, decoder.NewYAMLOrJSONDecoder(bytes.NewBufferString(text), 4096)
	for {
		var value runtime.RawExtension
		if err := stream.Decode(&value); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, err
		}
		raw := bytes.TrimSpace(value.Raw)
		if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
			continue
		}
		if _, _, err := unstructured.UnstructuredJSONScheme.Decode(raw, nil, nil); err != nil {
			return nil, err // Helm's client fails at it before it applies anything
		}
		var named struct{ APIVersion string }
		if err := json.Unmarshal(raw, &named); err != nil || named.APIVersion == "" {
			return nil, errors.New("unable to build kubernetes objects: apiVersion not set")
		}
		found = append(found, raw)
	}
}

type kustomized struct{}

// Run reads and writes objects as internal/postrender/transformer.go of helm-controller does.
func (kustomized) Run(rendered *bytes.Buffer) (*bytes.Buffer, error) {
	factory := resmap.NewFactory(provider.NewDefaultDepProvider().GetResourceFactory())
	objects, err := factory.NewResMapFromBytes(rendered.Bytes())
	if err != nil {
		return nil, err
	}
	text, err := objects.AsYaml()
	return bytes.NewBuffer(text), err
}
