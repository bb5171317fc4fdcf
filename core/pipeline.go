package core

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// A Stage is a plugin with its name in the config.
type Stage struct {
	Name   string
	Plugin Plugin
}

// A Pipeline runs stages one after the other. It is immutable and safe for concurrent use. (RATIONALE.md explains why the stages are not
// nested middlewares.)
type Pipeline struct {
	stages    []Stage
	observers []observer
}

// An observer is a stage that observes.
type observer struct {
	name string
	Observer
}

// NewPipeline returns a pipeline of the stages in this order. Stages that are Observers observe.
func NewPipeline(stages ...Stage) *Pipeline {
	p := &Pipeline{stages: stages}
	for _, s := range stages {
		if o, ok := s.Plugin.(Observer); ok {
			p.observers = append(p.observers, observer{s.Name, o})
		}
	}
	return p
}

// Run runs the stages until one fails. It sets x.Stage, so that a failure, or a panic, can be attributed to a stage.
func (p *Pipeline) Run(ctx context.Context, x *Exchange) error {
	x.Stages = make([]StageTime, 0, len(p.stages))
	for _, s := range p.stages {
		x.Stage = s.Name
		if err := s.handle(ctx, x); err != nil {
			return err
		}
	}
	x.Stage = ""
	return nil
}

// errPanicked is the error of a stage that panicked.
var errPanicked = errors.New("panic")

// handle runs the stage in a span and records how long it took. A stage that observes has its span when it observes.
func (s Stage) handle(ctx context.Context, x *Exchange) (err error) {
	if _, observes := s.Plugin.(Observer); observes {
		return s.Plugin.Handle(ctx, x)
	}
	began := time.Now()
	span := x.Trace.BeginAt(s.Name, trace.SpanKindInternal, began)
	err = errPanicked
	defer func() {
		ended := time.Now()
		EndSpan(span, err, ended)
		x.Stages = append(x.Stages, StageTime{s.Name, ended.Sub(began), err != nil})
	}()
	err = s.Plugin.Handle(ctx, x)
	return err
}

// Observe calls every observer with an exchange that has ended.
func (p *Pipeline) Observe(ctx context.Context, x *Exchange) {
	for _, o := range p.observers {
		span := x.Trace.Begin(o.name, trace.SpanKindInternal)
		o.Observe(ctx, x)
		span.End()
	}
}

// Only returns a pipeline of the named stages and all observers.
func (p *Pipeline) Only(names ...string) *Pipeline {
	few := &Pipeline{observers: p.observers}
	for _, s := range p.stages {
		if slices.Contains(names, s.Name) {
			few.stages = append(few.stages, s)
		}
	}
	return few
}

// Has reports whether the pipeline has a stage with the name.
func (p *Pipeline) Has(name string) bool {
	return slices.ContainsFunc(p.stages, func(s Stage) bool { return s.Name == name })
}
