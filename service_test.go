package starling

import (
	"context"
	"errors"
	"testing"
)

// named is a service that only has a name and needs.
type named struct {
	kind  string
	needs []string
}

func (s named) Kind() string                 { return s.kind }
func (s named) Needs() []string              { return s.needs }
func (s named) Build(*Builder) (Part, error) { return idle{}, nil }

// idle is a part that is ready at once and waits for its end.
type idle struct{}

func (idle) Run(ctx context.Context, ready func()) error {
	ready()
	<-ctx.Done()
	return nil
}

func TestOrderPutsNeedsFirst(t *testing.T) {
	sorted, err := order([]Service{
		named{"c", []string{"b"}}, named{"a", nil}, named{"b", []string{"a"}}, named{"d", nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got string
	for _, s := range sorted {
		got += s.Kind()
	}
	if got != "abcd" {
		t.Errorf("order = %s, want abcd", got)
	}
}

func TestOrderNamesWhatIsMissing(t *testing.T) {
	var missing *MissingServiceError
	_, err := order([]Service{named{"a", []string{"ghost"}}})
	if !errors.As(err, &missing) || missing.Kind != "a" || missing.Needs != "ghost" || missing.Cycle {
		t.Errorf("missing need = %v", err)
	}
	_, err = order([]Service{named{"a", []string{"b"}}, named{"b", []string{"a"}}})
	if !errors.As(err, &missing) || !missing.Cycle {
		t.Errorf("cycle = %v", err)
	}
}
