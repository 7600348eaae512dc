// Checks a Nomad job against the types of Nomad's own API: every attribute and block must be a field there, and every
// value must have the type of its field. Then it checks the times that belong together.
package main

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/nomad/api"
	"github.com/zclconf/go-cty/cty"
)

// The durations of the job, by their path, e.g. job.group.task.kill_timeout.
var durations = map[string]time.Duration{}
var problems []string

func main() {
	path := os.Args[1]
	source, err := os.ReadFile(path)
	if err != nil {
		fail(err.Error())
	}
	file, diagnostics := hclsyntax.ParseConfig(source, path, hcl.InitialPos)
	if diagnostics.HasErrors() {
		fail(diagnostics.Error())
	}
	for _, block := range file.Body.(*hclsyntax.Body).Blocks {
		if block.Type != "job" {
			problem(block.TypeRange, "unknown block %s", block.Type)
			continue
		}
		checkBody(block.Body, reflect.TypeFor[api.Job](), "job")
	}
	checkTimes()
	if len(problems) > 0 {
		fail(strings.Join(problems, "\n"))
	}
	fmt.Printf("%s: %d durations, no problems\n", path, len(durations))
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}

func problem(at hcl.Range, format string, values ...any) {
	problems = append(problems, fmt.Sprintf("line %d: ", at.Start.Line)+fmt.Sprintf(format, values...))
}

// The fields of a type that a job can set, by their names in HCL; and the number of labels of a block.
func fields(of reflect.Type) (map[string]reflect.StructField, int) {
	found, labels := map[string]reflect.StructField{}, 0
	for field := range of.Fields() {
		name, kind, _ := strings.Cut(field.Tag.Get("hcl"), ",")
		switch {
		case kind == "label":
			labels++
		case name != "":
			found[name] = field
		}
	}
	return found, labels
}

func checkBlock(block *hclsyntax.Block, of reflect.Type, path string) {
	if _, labels := fields(of); len(block.Labels) != labels {
		problem(block.TypeRange, "%s has %d labels instead of %d", path, len(block.Labels), labels)
	}
	checkBody(block.Body, of, path)
}

func checkBody(body *hclsyntax.Body, of reflect.Type, path string) {
	known, _ := fields(of)
	for name, attribute := range body.Attributes {
		field, found := known[name]
		if !found {
			problem(attribute.NameRange, "%s has no attribute %s", path, name)
			continue
		}
		checkValue(attribute, field.Type, path+"."+name)
	}
	for _, inner := range body.Blocks {
		field, found := known[inner.Type]
		if !found {
			problem(inner.TypeRange, "%s has no block %s", path, inner.Type)
			continue
		}
		of := element(field.Type)
		// The driver, a scaling policy and the environment have fields of their own.
		if of.Kind() == reflect.Struct {
			checkBlock(inner, of, path+"."+inner.Type)
		}
	}
}

// The type in pointers and slices.
func element(of reflect.Type) reflect.Type {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	return of
}

func checkValue(attribute *hclsyntax.Attribute, of reflect.Type, path string) {
	value, diagnostics := attribute.Expr.Value(nil)
	if diagnostics.HasErrors() {
		problem(attribute.SrcRange, "%s: %s", path, diagnostics.Error())
		return
	}
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of == reflect.TypeFor[time.Duration]() {
		if value.Type() != cty.String {
			problem(attribute.SrcRange, "%s is not a duration in quotes", path)
			return
		}
		duration, err := time.ParseDuration(value.AsString())
		if err != nil {
			problem(attribute.SrcRange, "%s: %v", path, err)
		}
		durations[path] = duration
		return
	}
	expected, isSimple := map[reflect.Kind]cty.Type{
		reflect.String: cty.String, reflect.Bool: cty.Bool, reflect.Int: cty.Number, reflect.Int64: cty.Number,
		reflect.Uint64: cty.Number,
	}[of.Kind()]
	if isSimple && value.Type() != expected {
		problem(attribute.SrcRange, "%s is a %s instead of a %s", path, value.Type().FriendlyName(), expected.FriendlyName())
	}
}

func checkTimes() {
	kill, progress := durations["job.group.task.kill_timeout"], durations["job.update.progress_deadline"]
	if kill == 0 || kill > progress {
		problems = append(problems, fmt.Sprintf("kill_timeout %v is not within progress_deadline %v", kill, progress))
	}
}
