package demo

// library is one of the client libraries through which the demo's calls come.
type library uint8

const (
	browser library = iota
	ios
	android
	node
	python
	golang
	ruby
	java
	libraries int = iota
)

// sdk is how a library sends: what it calls itself and the form of its requests.
type sdk struct {
	name, version string
	path          string
	contentType   string
	basic         bool // the write key is in the Authorization header, else in the body
	gzip          bool
	batch         int // calls a request
}

// sdks returns the habits of the libraries, as the published SDKs have them.
func sdks() [libraries]sdk {
	return [libraries]sdk{
		browser: {"analytics.js", "npm:next-1.81.0", "/v1/b", "text/plain", false, false, 100},
		ios:     {"analytics-ios", "4.1.8", "/v1/b", "application/json; charset=utf-8", false, false, 100},
		android: {"analytics-android", "4.11.3", "/v1/import", "application/json", false, true, 100},
		node:    {"analytics-node", "2.3.0", "/v1/batch", "application/json", true, false, 100},
		python:  {"analytics-python", "2.3.4", "/v1/batch", "application/json", false, true, 100},
		golang:  {"analytics-go", "3.3.0", "/v1/batch", "application/json", true, false, 250},
		ruby:    {"analytics-ruby", "2.5.0", "/v1/import", "application/json", true, false, 100},
		java:    {"analytics-java", "3.5.4", "/v1/import/", "application/json", false, false, 100},
	}
}
