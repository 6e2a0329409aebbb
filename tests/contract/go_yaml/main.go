// Command go_yaml reads YAML with the packages that read it on its way into a cluster.
//
// It reads lines of JSON from standard input: {"reader": READER, "text": YAML}. For each it writes one line of
// JSON: {"documents": [VALUE, …]} or {"error": MESSAGE}. The readers are
//
//	flux   kustomize-controller, after the substitution of variables
//	chart  helm-controller, what a template renders to
//	crds   helm-controller, a file of a chart's folder crds
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	release "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/apimachinery/pkg/runtime"
	decoder "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/yaml"
)

func main() {
	lines, answers := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	lines.Buffer(nil, 1<<24)
	readers := map[string]func(string) ([]json.RawMessage, error){"flux": one, "chart": template, "crds": documents}
	for lines.Scan() {
		var asked struct{ Reader, Text string }
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		answer := map[string]any{}
		found, err := readers[asked.Reader](asked.Text)
		if answer["documents"] = found; err != nil {
			answer = map[string]any{"error": err.Error()}
		}
		if err := answers.Encode(answer); err != nil {
			panic(err)
		}
	}
}

// one reads an object as fluxcd/pkg/kustomize does after it has replaced the variables.
func one(text string) ([]json.RawMessage, error) {
	value, err := yaml.YAMLToJSON([]byte(text))
	return []json.RawMessage{value}, err
}

// documents reads a stream as the builder of cli-runtime does, by which Helm reads all that it applies.
func documents(text string) ([]json.RawMessage, error) {
	found, stream := []json.RawMessage{}, decoder.NewYAMLOrJSONDecoder(bytes.NewBufferString(text), 4096)
	for {
		var value runtime.RawExtension
		if err := stream.Decode(&value); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, err
		}
		if raw := bytes.TrimSpace(value.Raw); len(raw) > 0 && !bytes.Equal(raw, []byte("null")) {
			found = append(found, raw)
		}
	}
}

// template renders a chart of one template as helm-controller does, through a post-renderer of kustomize.
func template(text string) ([]json.RawMessage, error) {
	install := action.NewInstall(new(action.Configuration))
	install.DryRunStrategy, install.ReleaseName, install.Namespace = action.DryRunClient, "r", "n"
	install.PostRenderer = kustomized{}
	rendered, err := install.Run(&chart.Chart{
		Metadata:  &chart.Metadata{APIVersion: "v2", Name: "c", Version: "1.0.0"},
		Templates: []*common.File{{Name: "templates/t.yaml", Data: []byte(text)}},
	}, nil)
	if err != nil {
		return nil, err
	}
	return documents(rendered.(*release.Release).Manifest)
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
