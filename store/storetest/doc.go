// Package storetest is what every store of sessions must do: a suite, [Run],
// that a test calls with what it wants to test, and [Memory], a store that passes
// it and needs no disk, for the tests of what stands above a store.
package storetest
