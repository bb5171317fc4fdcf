// Package conventions has the tests that hold the source to Berry's conventions.
package conventions
