//go:build !wasip1

package sdk

import (
	"encoding/binary"
	"math"

	"github.com/berrygate/berry/sdk/abi"
)

// Log writes a line to the gateway's log under the strategy's name. Natively it does nothing.
func Log(Level, string) {}

func load32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func load64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

func loadTiming(b []byte) Timing {
	return Timing{
		MS: math.Float64frombits(load64(b[abi.TimeAt:])), TokenMS: math.Float64frombits(load64(b[abi.TokenTimeAt:])),
		LastSuccess: int64(load64(b[abi.LastSuccessAt:])), Samples: load32(b[abi.TimedAt:]), Misses: load32(b[abi.MissesAt:]),
	}
}
