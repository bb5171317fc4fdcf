package abi

// The FNV-1a parameters for 64 bits (RFC 9923, section 5).
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// Hash is the 64-bit FNV-1a hash of s. It is hash/fnv's New64a without its allocation, and guests in any language can
// repeat it.
func Hash[T string | []byte](s T) uint64 { return HashMore(fnvOffset, s) }

// HashMore continues h, which Hash or HashMore returned, over s: HashMore(Hash(a), b) equals Hash(a+b).
func HashMore[T string | []byte](h uint64, s T) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

// CandidateID is a candidate's id: the hash of its provider's id, a zero byte and the provider's name for the model.
func CandidateID(provider, model string) uint64 {
	return HashMore(HashMore(Hash(provider), "\x00"), model)
}
