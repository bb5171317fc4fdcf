// Package e2e has the end-to-end tests: the binary, as make build makes it, between real clients and fake providers.
package e2e
