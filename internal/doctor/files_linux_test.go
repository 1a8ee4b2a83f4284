package doctor_test

import (
	"strings"
	"testing"

	"github.com/starlingp2p/starling/internal/doctor"
)

// A folder that takes no writes is a trouble, for root too.
func TestAFolderThatTakesNoWrites(t *testing.T) {
	in := healthy(t)
	in.Datadir = "/proc/self"
	r := doctor.Run(t.Context(), in, well())
	if first := r.Results[0]; first.Check != doctor.CheckDatadir || !strings.Contains(first.Detail, "cannot be written") || !r.Failed() {
		t.Errorf("%+v", first)
	}
}
