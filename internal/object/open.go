package object

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// Address is what a URL of a store says.
type Address struct {
	Bucket, Prefix string // the prefix has no slash at its ends
	Endpoint       string // host:port
	Secure         bool
	Region         string
	Lookup         minio.BucketLookupType
	Timeout        time.Duration // how long the store may be silent
}

// Location is the address without parameters: s3://bucket/prefix.
func (a *Address) Location() string { return strings.TrimSuffix("s3://"+a.Bucket+"/"+a.Prefix, "/") }

// PathStyle reports whether objects are addressed as https://endpoint/bucket/key: as the URL says, else everywhere but at the stores whose
// host names are known to take the bucket, Amazon's above all. The client goes by the same rule.
func (a *Address) PathStyle() bool {
	if a.Lookup != minio.BucketLookupAuto {
		return a.Lookup == minio.BucketLookupPath
	}
	scheme := "http"
	if a.Secure {
		scheme = "https"
	}
	return !s3utils.IsVirtualHostSupported(url.URL{Scheme: scheme, Host: a.Endpoint}, a.Bucket)
}

// Parse reads a URL like s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1&path_style=true&timeout=30s. Without an
// endpoint it is Amazon's, without a region that of AWS_REGION, AWS_DEFAULT_REGION or us-east-1.
func Parse(rawURL string) (*Address, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "s3" || u.Host == "" {
		return nil, fmt.Errorf("%q is no address of an object store: want s3://bucket/prefix", withoutKeys(rawURL))
	}
	if u.User != nil {
		return nil, errors.New("the address of an object store has no user or key in it: they come from the environment, the credentials file or the machine's role")
	}
	a := &Address{
		Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"), Endpoint: "s3.amazonaws.com", Secure: true, Lookup: minio.BucketLookupAuto,
		Region: firstOf(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), "us-east-1"), Timeout: defaultTimeout,
	}
	query := u.Query()
	for _, key := range slices.Sorted(maps.Keys(query)) {
		values := query[key]
		if err := a.set(key, values[len(values)-1]); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *Address) set(key, value string) error {
	switch key {
	case "endpoint":
		e, err := url.Parse(value)
		if err != nil || e.User != nil || e.Host == "" || (e.Scheme != "http" && e.Scheme != "https") || strings.Trim(e.Path, "/") != "" {
			return fmt.Errorf("endpoint %q of %s: want http://host:port or https://host", withoutKeys(value), a.Location())
		}
		a.Endpoint, a.Secure = e.Host, e.Scheme == "https"
	case "region":
		a.Region = value
	case "path_style":
		on, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("path_style %q of %s: want true or false", value, a.Location())
		}
		if a.Lookup = minio.BucketLookupDNS; on {
			a.Lookup = minio.BucketLookupPath
		}
	case "timeout":
		d, err := time.ParseDuration(value)
		if err != nil || d < time.Second {
			return fmt.Errorf("timeout %q of %s: want a time like 30s, one second at least", value, a.Location())
		}
		a.Timeout = d
	default:
		return fmt.Errorf("unknown parameter %q of %s: there are endpoint, region, path_style and timeout", key, a.Location())
	}
	return nil
}

// withoutKeys leaves out of an address what may be a key: what stands before an @.
func withoutKeys(address string) string {
	if _, host, ok := strings.Cut(address, "@"); ok {
		return "...@" + host
	}
	return address
}

// Open makes a client for a URL as [Parse] reads it. Credentials come from the environment (AWS_ACCESS_KEY_ID and so on), the shared
// credentials file (AWS_PROFILE), a token file of the machine's role, or the machine's role, in that order. Nothing is sent to the store yet.
func Open(_ context.Context, rawURL string) (*Store, error) {
	a, err := Parse(rawURL)
	if err != nil {
		return nil, err
	}
	s := &Store{bucket: a.Bucket, prefix: a.Prefix, region: a.Region, host: a.Endpoint, keys: chain(), meter: &meter{}}
	if s.prefix != "" {
		s.prefix += "/"
	}
	s.client, err = minio.New(a.Endpoint, &minio.Options{
		Creds: s.keys, Secure: a.Secure, Region: s.region, BucketLookup: a.Lookup, MaxRetries: retries,
		Transport: &patient{next: transport(a.Timeout), meter: s.meter},
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", s, err)
	}
	return s, nil
}

// chain looks for credentials where Amazon's own tools do. The machine's role is asked for last, and only for a moment: elsewhere than
// at Amazon nobody answers.
func chain() *credentials.Credentials {
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{},
		&credentials.FileAWSCredentials{},
		&credentials.IAM{Client: &http.Client{Timeout: 5 * time.Second}},
	})
}

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}
