// Package e2e contains the end-to-end tests: the built binary between real clients and fake providers.
package e2e
