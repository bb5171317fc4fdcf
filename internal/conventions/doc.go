// Package conventions contains tests that check the source against Berry's conventions.
package conventions
