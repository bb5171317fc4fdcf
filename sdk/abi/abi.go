// Package abi is the wire layout that Berry and its strategies share, version 1.
//
// Before each pick the host writes one block into the guest's memory: a header, then the candidates, then the strings
// that they point to. All numbers are little-endian, every 8-byte field lies on a multiple of 8, and a string is a pair
// of u32: its offset from the block's start and its length in bytes ((0,0) is the empty string). A guest steps by the
// sizes that the header names, not by those it was compiled with, so that a later version can append fields.
//
// The package needs nothing but the standard library and stays free of fmt: it is linked into every guest.
// The contract, field by field, is the ABI table in strategies/README.md.
package abi

// Version is the ABI version that this package describes; it stands in bits 0 to 15 of what berry_abi returns.
const Version = 1

// FlagStateful is the bit of berry_abi's answer that asks for a single instance and for berry_observe.
const FlagStateful = 1 << 16

// None is what berry_select returns to say that none of the candidates will do.
const None = -1

// Align is the alignment, in bytes, of a block and of its parts.
const Align = 8

// Names of what a guest exports, and of the module and function that it may import from Berry.
const (
	ExportMemory     = "memory"
	ExportInitialize = "_initialize"
	ExportABI        = "berry_abi"
	ExportBuffer     = "berry_buffer"
	ExportConfigure  = "berry_configure"
	ExportSelect     = "berry_select"
	ExportObserve    = "berry_observe"

	ImportModule = "berry"
	ImportLog    = "log"
)

// Sizes, in bytes, of the fixed parts of a block and of an outcome record in this version.
const (
	HeaderSize    = 96
	CandidateSize = 192
	TimingSize    = 32 // within a candidate
	OutcomeSize   = 64
)

// FirstCandidateSize is the least size of a candidate: the one that the layout began with. The fields behind it were appended;
// an older host's candidates lack them, and a guest takes them for unknown.
const FirstCandidateSize = 128

// Offsets of the header's fields from the start of a block.
const (
	HeaderSizeAt     = 0  // u32
	CandidateSizeAt  = 4  // u32
	CountAt          = 8  // u32
	AttemptAt        = 12 // u32
	SeqAt            = 16 // u64
	RandomAt         = 24 // u64
	NowAt            = 32 // i64
	AffinityAt       = 40 // u64
	PrefixAt         = 48 // u64
	PromptTokensAt   = 56 // u32
	MaxTokensAt      = 60 // u32
	FlagsAt          = 64 // u32
	ModelAt          = 68 // string
	UserAt           = 76 // string
	UserTagsAt       = 84 // string
	headerReservedAt = 92 // u32
)

// Offsets of a candidate's fields from the candidate's start.
const (
	IDAt            = 0   // u64
	WeightAt        = 8   // f64
	PriorityAt      = 16  // i32
	CandFlagsAt     = 20  // u32
	InFlightAt      = 24  // u32
	SamplesAt       = 28  // u32
	LatencyAt       = 32  // f64
	TTFTAt          = 40  // f64
	SuccessAt       = 48  // f64
	LastFailureAt   = 56  // i64
	CostInputAt     = 64  // f64
	CostOutputAt    = 72  // f64
	FailuresAt      = 80  // u32
	candReservedAt  = 84  // u32
	ProviderAt      = 88  // string
	ProviderModelAt = 96  // string
	TagsAt          = 104 // string
	candReserved2At = 112 // to StreamedAt

	StreamedAt = FirstCandidateSize      // timing
	PlainAt    = StreamedAt + TimingSize // timing
)

// Offsets of a timing's fields from the timing's start.
const (
	TimeAt        = 0  // f64
	TokenTimeAt   = 8  // f64
	LastSuccessAt = 16 // i64
	TimedAt       = 24 // u32
	MissesAt      = 28 // u32
)

// Flags of a query.
const (
	QueryStream = 1 << iota // the client asked for a stream
	QueryPanic              // no healthy candidate was left: these are held down by an active check alone
)

// Flags of a candidate.
const (
	CandidateUnhealthy = 1 << iota // held down by an active check; shown only in panic
	CandidateProbing               // back from a cooldown, one success away from healthy
)
