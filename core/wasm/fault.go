package wasm

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/sys"
)

// A Reason is what kind of fault a guest made, in a word for metrics.
type Reason string

// The reasons of faults.
const (
	Trap     Reason = "trap"     // unreachable, an address outside the memory, a stack overflow, text to log that is not there
	Fuel     Reason = "fuel"     // it did more in a call than it has fuel for
	Exit     Reason = "exit"     // it called proc_exit
	Index    Reason = "index"    // it picked none of the candidates
	Buffer   Reason = "buffer"   // it gave no buffer, or one outside its memory
	Instance Reason = "instance" // its successor, after such a fault, could not be made
)

// A FaultError is a guest's failure to do its part. It is an ErrFault.
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

// explain returns the fault behind what wazero says of a call of the named function.
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

// early returns what is wrong with a module that could not be instantiated. When its start function has trapped, wazero keeps
// the fuel that was left to itself.
func (in *instance) early(err error) error {
	line := firstLine(err)
	if !strings.Contains(line.Error(), "unreachable") {
		return line
	}
	return fmt.Errorf("%w, or it takes more fuel to start than %d", line, int64(startFuel))
}

// firstLine cuts the stack trace that wazero appends to an error; the trace names a guest's functions, which tell its
// author more in a test than an operator in a log.
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
