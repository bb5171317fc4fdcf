package api

// Usage is what the provider says the exchange took; zeros are unknown.
type Usage struct{ InputTokens, OutputTokens uint32 }
