// Package sdk sends calls to a real firth serve by unmodified SDKs from their ordinary registries, with only the host changed, and
// compares what each of them put on the wire with the lake and with the typed tables. README.md says which claim rests on what.
package sdk
