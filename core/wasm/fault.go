package wasm

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/sys"
)

// A Reason is a kind of fault, in a word for metrics.
type Reason string

// The kinds of faults.
const (
	Trap     Reason = "trap"     // unreachable, an address outside the memory, a stack overflow, text to log that is not there
	Fuel     Reason = "fuel"     // it ran out of fuel
	Exit     Reason = "exit"     // it called proc_exit
	Index    Reason = "index"    // it returned an invalid index
	Buffer   Reason = "buffer"   // it returned no buffer, or one outside its memory
	Instance Reason = "instance" // after a fault, a new instance could not be made
)

// A FaultError is a guest's fault. It is an ErrFault.
type FaultError struct {
	reason Reason
	err    error
}

func fault(reason Reason, format string, args ...any) error {
	return &FaultError{reason, fmt.Errorf("%w: %w", ErrFault, fmt.Errorf(format, args...))}
}

// Reason returns the kind of fault.
func (f *FaultError) Reason() string { return string(f.reason) }

func (f *FaultError) Error() string { return f.err.Error() }
func (f *FaultError) Unwrap() error { return f.err }

// explain returns the fault that wazero's error of a call means.
func (in *instance) explain(function string, err error) error {
	var exit *sys.ExitError
	switch {
	case int64(in.fuel.Get()) < 0:
		return fault(Fuel, "%s: out of fuel: it takes more than %d", function, in.filled)
	case errors.As(err, &exit):
		return fault(Exit, "%s: it exited with code %d", function, exit.ExitCode())
	default:
		return fault(Trap, "%s: %w", function, firstLine(err))
	}
}

// early returns the error of a module that could not be instantiated. wazero does not report the fuel of a start function that trapped.
func (in *instance) early(err error) error {
	line := firstLine(err)
	if !strings.Contains(line.Error(), "unreachable") {
		return line
	}
	return fmt.Errorf("%w, or it takes more fuel to start than %d", line, int64(startFuel))
}

// firstLine removes wazero's stack trace from an error: it names the guest's functions, which help its author in a test, but not an
// operator.
func firstLine(err error) error {
	line, _, cut := strings.Cut(err.Error(), "\n")
	if !cut {
		return err
	}
	return guestError{strings.TrimSuffix(line, " (recovered by wazero)"), err}
}

type guestError struct {
	line string
	err  error
}

func (e guestError) Error() string { return e.line }
func (e guestError) Unwrap() error { return e.err }
