//go:build !wasip1

package sdk

// Log writes a line to the gateway's log under the strategy's name. Natively it does nothing.
func Log(Level, string) {}
