package object_test

import (
	"testing"

	"firth/internal/object"
)

// TestPathStyle: objects are addressed as the URL says, else by the path wherever a host name with the bucket in it is not known to exist.
func TestPathStyle(t *testing.T) {
	for address, want := range map[string]bool{
		"s3://bucket/prefix":                                                  false,
		"s3://bucket/prefix?path_style=true":                                  true,
		"s3://bucket.with.dots/prefix":                                        true,
		"s3://bucket/prefix?endpoint=http://127.0.0.1:9000":                   true,
		"s3://bucket/prefix?endpoint=https://store.example.com":               true,
		"s3://bucket/prefix?endpoint=http://127.0.0.1:9000&path_style=true":   true,
		"s3://bucket/prefix?endpoint=https://store.example&path_style=false":  false,
		"s3://bucket/prefix?endpoint=https://s3.eu-central-1.amazonaws.com":   false,
		"s3://bucket/prefix?endpoint=https://store.example.com&path_style=1":  true,
		"s3://bucket/prefix?endpoint=https://storage.googleapis.com&region=x": false,
	} {
		a, err := object.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if a.PathStyle() != want {
			t.Errorf("%s: by the path %v, want %v", address, !want, want)
		}
	}
}
