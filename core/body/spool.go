package body

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// spoolMemory is how much of a spool is kept in memory, in bytes; a larger one is a file.
const spoolMemory = 64 << 10

// A spool stores the beginning of an upload: in memory or, if it is large, in an unnamed temporary file, which the operating system removes
// with the process. It can be read any number of times.
type spool struct {
	memory []byte
	file   *os.File // nil: all is in memory
	length int64
}

func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && len(s.memory)+len(p) <= spoolMemory {
		s.memory = append(s.memory, p...)
		s.length = int64(len(s.memory))
		return len(p), nil
	}
	if s.file == nil {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	n, err := s.file.Write(p)
	s.length += int64(n)
	return n, err
}

// spill moves the memory's content into a file.
func (s *spool) spill() error {
	f, err := os.CreateTemp("", "berry-upload-*")
	if err != nil {
		return err
	}
	s.file = f
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	_, err = f.Write(s.memory)
	s.memory = nil
	return err
}

// section returns a reader of the bytes from begin to end.
func (s *spool) section(begin, end int64) io.Reader {
	if s.file != nil {
		return io.NewSectionReader(s.file, begin, end-begin)
	}
	return bytes.NewReader(s.memory[begin:end])
}

// Close removes the file.
func (s *spool) Close() error {
	if s.file == nil {
		return nil
	}
	if err := s.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
