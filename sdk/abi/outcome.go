package abi

import (
	"encoding/binary"
	"errors"
	"math"
)

// A Result says how an attempt ended. The numbers are part of the ABI.
type Result uint32

// The results of an attempt.
const (
	OK              Result = iota // a whole answer
	ClientCancelled               // the client left; counts against nobody
	ConnectFailed                 // no connection, or one that broke before the answer's headers
	TimedOut                      // silence past a limit
	RateLimited                   // 429
	AuthRefused                   // 401 or 403: the provider refused the gateway's key
	ServerError                   // 5xx, or an answer that is not what it should be
	ClientError                   // any other 4xx: the request's own fault
	StreamBroken                  // a stream that ended before its terminal
)

var resultNames = [...]string{"ok", "client_cancelled", "connect", "timeout", "rate_limited", "auth", "server_error", "client_error", "stream_broken"}

// String returns the result's name in snake_case, as metrics and logs show it.
func (r Result) String() string {
	if int(r) < len(resultNames) {
		return resultNames[r]
	}
	return "unknown"
}

// An Outcome is what a stateful strategy is told when an attempt has ended.
type Outcome struct {
	Candidate    uint64 // the candidate's id
	Seq          uint64 // of the exchange
	Model        uint64 // Hash of the name that the client asked for
	Attempt      uint32 // from 0
	Result       Result
	Status       uint32  // HTTP status; 0 if there was none
	LatencyMS    float64 // from the attempt's start to its commit, or to its end if it never committed
	TTFTMS       float64 // to the first token of a stream; 0 is unknown
	InputTokens  uint32  // as the provider reported; 0 is unknown
	OutputTokens uint32  // as the provider reported; 0 is unknown
}

// EncodeOutcome writes o to the front of dst, which must hold OutcomeSize bytes.
func EncodeOutcome(dst []byte, o *Outcome) {
	dst = dst[:OutcomeSize:OutcomeSize]
	put64(dst[0:], o.Candidate)
	put64(dst[8:], o.Seq)
	put64(dst[16:], o.Model)
	put32(dst[24:], o.Attempt)
	put32(dst[28:], uint32(o.Result))
	put32(dst[32:], o.Status)
	put32(dst[36:], 0)
	putFloat(dst[40:], o.LatencyMS)
	putFloat(dst[48:], o.TTFTMS)
	put32(dst[56:], o.InputTokens)
	put32(dst[60:], o.OutputTokens)
}

var errShortOutcome = errors.New("abi: an outcome record takes 64 bytes")

// DecodeOutcome reads the record that EncodeOutcome wrote. It fails only if b is too short.
func DecodeOutcome(b []byte) (Outcome, error) {
	if len(b) < OutcomeSize {
		return Outcome{}, errShortOutcome
	}
	le := binary.LittleEndian
	return Outcome{
		Candidate:    le.Uint64(b[0:]),
		Seq:          le.Uint64(b[8:]),
		Model:        le.Uint64(b[16:]),
		Attempt:      le.Uint32(b[24:]),
		Result:       Result(le.Uint32(b[28:])),
		Status:       le.Uint32(b[32:]),
		LatencyMS:    math.Float64frombits(le.Uint64(b[40:])),
		TTFTMS:       math.Float64frombits(le.Uint64(b[48:])),
		InputTokens:  le.Uint32(b[56:]),
		OutputTokens: le.Uint32(b[60:]),
	}, nil
}
