// Command flux_generator builds targets as kustomize-controller does, with its own packages.
//
// It reads lines of JSON from standard input: {"root": FOLDER, "target": FOLDER in it, "namespace": NAME,
// "variables": {NAME: VALUE}}. For each it writes one line of JSON: {"built": YAML, "objects": [OBJECT, …]}
// or {"error": MESSAGE}. It writes into the folders that it builds, as Flux does.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fluxcd/pkg/kustomize"
	"github.com/fluxcd/pkg/ssa/utils"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/resmap"
)

type question struct {
	Root, Target, Namespace string
	Variables               map[string]string
}

type answer struct {
	Built   string                       `json:"built"`
	Objects []*unstructured.Unstructured `json:"objects,omitempty"`
	Error   string                       `json:"error,omitempty"`
}

func main() {
	lines, answers := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		built, objects, err := answered(asked)
		given := answer{Built: built, Objects: objects}
		if err != nil {
			given = answer{Error: err.Error()}
		}
		if err := answers.Encode(given); err != nil {
			panic(err)
		}
	}
}

// answered builds a target, and reads what it is built to as the controller does before it applies it.
func answered(asked question) (built string, objects []*unstructured.Unstructured, err error) {
	defer func() {
		if reason := recover(); reason != nil { // the controller recovers too
			err = fmt.Errorf("panic: %v", reason)
		}
	}()
	spec := map[string]any{}
	if asked.Namespace != "" {
		spec["targetNamespace"] = asked.Namespace
	}
	if len(asked.Variables) > 0 {
		variables := map[string]any{}
		for name, value := range asked.Variables {
			variables[name] = value
		}
		spec["postBuild"] = map[string]any{"substitute": variables}
	}
	applied := unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	found, err := build(asked, applied)
	if err != nil {
		return "", nil, err
	}
	text, err := found.AsYaml()
	if err != nil {
		return "", nil, err
	}
	objects, err = utils.ReadObjects(strings.NewReader(string(text)))
	return string(text), objects, err
}

func build(asked question, applied unstructured.Unstructured) (resmap.ResMap, error) {
	folder := filepath.Join(asked.Root, asked.Target)
	if _, err := kustomize.NewGenerator(asked.Root, applied).WriteFile(folder); err != nil {
		return nil, err
	}
	built, err := kustomize.SecureBuild(asked.Root, folder, false)
	if err != nil {
		return nil, err
	}
	for _, object := range built.Resources() {
		if object.GetName() == "" || object.GetKind() == "" || object.GetApiVersion() == "" {
			return nil, fmt.Errorf("failed to decode Kubernetes apiVersion, kind and name")
		}
		if len(asked.Variables) == 0 {
			continue
		}
		changed, err := kustomize.SubstituteVariables(context.Background(), nil, applied, object,
			kustomize.SubstituteWithDryRun(true), kustomize.SubstituteWithStrict(true))
		if err != nil {
			return nil, err
		}
		if changed != nil {
			if _, err := built.Replace(object); err != nil {
				return nil, err
			}
		}
	}
	return built, nil
}
