package daemon

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration in the form "30s".
type Duration time.Duration

// UnmarshalText reads the form of time.ParseDuration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%.40q is not a duration; write it as \"30s\" or \"1m30s\"", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes the form of time.Duration.String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Size is a number of bytes in the form "1MiB".
type Size int64

// sizeUnits are those that a Size is written in, the largest first.
func sizeUnits() []sizeUnit {
	return []sizeUnit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}
}

type sizeUnit struct {
	suffix string
	bytes  int64
}

// maxSize bounds a Size, so that sums of a few cannot overflow.
const maxSize = 1 << 50

// UnmarshalText reads a whole number and a unit.
func (s *Size) UnmarshalText(text []byte) error {
	for _, u := range sizeUnits() {
		digits, ok := strings.CutSuffix(string(text), u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err == nil && strconv.FormatInt(n, 10) == digits && n >= 0 && n <= maxSize/u.bytes {
			*s = Size(n * u.bytes)
			return nil
		}
		break
	}
	return fmt.Errorf("%.40q is not a size; write it as \"512KiB\" or \"1MiB\"", text)
}

// MarshalText writes the largest unit that divides the size.
func (s Size) MarshalText() ([]byte, error) {
	for _, u := range sizeUnits() {
		if int64(s)%u.bytes == 0 && s != 0 {
			return fmt.Appendf(nil, "%d%s", int64(s)/u.bytes, u.suffix), nil
		}
	}
	return []byte("0B"), nil
}
