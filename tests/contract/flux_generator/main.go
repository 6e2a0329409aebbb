// Command flux_generator builds targets as kustomize-controller does, with its own packages.
//
// It reads lines of "ROOT\tTARGET\tNAMESPACE" from standard input. For each it writes one line of JSON:
// {"built": YAML} or {"error": MESSAGE}.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/fluxcd/pkg/kustomize"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	lines, answers := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		built, err := build(fields[0], fields[1], fields[2])
		answer := map[string]string{"built": built}
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		if err := answers.Encode(answer); err != nil {
			panic(err)
		}
	}
}

func build(root, target, namespace string) (string, error) {
	spec := map[string]any{"targetNamespace": namespace}
	applied := unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	folder := filepath.Join(root, target)
	if _, err := kustomize.NewGenerator(root, applied).WriteFile(folder); err != nil {
		return "", err
	}
	objects, err := kustomize.SecureBuild(root, folder, false)
	if err != nil {
		return "", err
	}
	text, err := objects.AsYaml()
	return string(text), err
}
