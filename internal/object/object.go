// Package object is a small client of S3 and of stores that speak its protocol: one bucket, one prefix, and the five things that are
// done with objects. Requests that fail for a while are tried again by the library below; what remains is an *Error that says what to do.
package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// retries is how often a request is sent before its failure is told; waits between them grow from 0.2 to 1 second.
const retries = 5

// Store is the objects under one prefix of one bucket. It is safe for concurrent use and holds nothing but idle connections.
type Store struct {
	client *minio.Client
	bucket string
	prefix string // ends with a slash, or is empty
	region string
	host   string
	keys   *credentials.Credentials
}

// Info is what a listing tells of an object.
type Info struct {
	Key      string // without the store's prefix
	Size     int64
	Modified time.Time
}

// Open reads a URL like s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1&path_style=true. Without an endpoint it is
// Amazon's, without a region that of AWS_REGION, AWS_DEFAULT_REGION or us-east-1. Credentials come from the environment
// (AWS_ACCESS_KEY_ID and so on), the shared credentials file, or the machine's role, in that order. Nothing is sent to the store yet.
func Open(_ context.Context, rawURL string) (*Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "s3" || u.Host == "" {
		return nil, fmt.Errorf("%q is no address of an object store: want s3://bucket/prefix", rawURL)
	}
	if u.User != nil {
		return nil, errors.New("the address of an object store has no user or key in it: they come from the environment, the credentials file or the machine's role")
	}
	s := &Store{bucket: u.Host, prefix: strings.Trim(u.Path, "/"), region: firstOf(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), "us-east-1")}
	if s.prefix != "" {
		s.prefix += "/"
	}
	endpoint, secure, lookup := "s3.amazonaws.com", true, minio.BucketLookupAuto
	for key, values := range u.Query() {
		value := values[len(values)-1]
		switch key {
		case "endpoint":
			e, err := url.Parse(value)
			if err != nil || e.Host == "" || (e.Scheme != "http" && e.Scheme != "https") || strings.Trim(e.Path, "/") != "" {
				return nil, fmt.Errorf("endpoint %q of %s: want http://host:port or https://host", value, s)
			}
			endpoint, secure = e.Host, e.Scheme == "https"
		case "region":
			s.region = value
		case "path_style":
			on, err := strconv.ParseBool(value)
			if err != nil {
				return nil, fmt.Errorf("path_style %q of %s: want true or false", value, s)
			}
			if lookup = minio.BucketLookupDNS; on {
				lookup = minio.BucketLookupPath
			}
		default:
			return nil, fmt.Errorf("unknown parameter %q of %s: there are endpoint, region and path_style", key, s)
		}
	}
	s.host = endpoint
	s.keys = chain()
	s.client, err = minio.New(endpoint, &minio.Options{
		Creds: s.keys, Secure: secure, Region: s.region, BucketLookup: lookup, MaxRetries: retries, Transport: transport(),
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

// transport gives up on a store that takes a request and never answers.
func transport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		ExpectContinueTimeout: 5 * time.Second,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   4,
		DisableCompression:    true, // objects come as they are, also those that were packed
	}
}

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// String is the store's address without parameters.
func (s *Store) String() string { return "s3://" + s.bucket + "/" + s.prefix }

// URL is the address of an object, as other programs take it.
func (s *Store) URL(key string) string { return s.String() + key }

// Bucket is the bucket of the address.
func (s *Store) Bucket() string { return s.bucket }

// Prefix is put before every key; it is empty or ends with a slash.
func (s *Store) Prefix() string { return s.prefix }

// Region is the region that requests are signed for.
func (s *Store) Region() string { return s.region }

// Keys are credentials that are handed to another program which reads the store by itself.
type Keys struct{ ID, Secret, Token string }

// Keys returns the credentials that requests are signed with at present; those of a role end after some time.
func (s *Store) Keys() (Keys, error) {
	v, err := s.keys.GetWithContext(s.client.CredContext())
	if err != nil || v.AccessKeyID == "" {
		return Keys{}, &Error{Op: "find credentials for", Object: s.String(), Kind: Denied, Hint: keysHint, Err: firstError(err, errors.New("there are none"))}
	}
	return Keys{ID: v.AccessKeyID, Secret: v.SecretAccessKey, Token: v.SessionToken}, nil
}

// Put writes an object; size is -1 where it is not known. A reader that is an io.Seeker is sent again after a failure. The object is
// there whole or not at all.
func (s *Store) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	_, err := s.client.PutObject(ctx, s.bucket, s.prefix+key, r, size, minio.PutObjectOptions{ContentType: "application/octet-stream"})
	return s.fail("write", key, err)
}

// Get reads an object; whoever gets it closes it. The error of a missing one is of kind NotFound.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	o, err := s.client.GetObject(ctx, s.bucket, s.prefix+key, minio.GetObjectOptions{})
	if err != nil {
		return nil, s.fail("read", key, err)
	}
	// The library asks for nothing before the first read.
	if _, err := o.Stat(); err != nil {
		return nil, errors.Join(s.fail("read", key, err), o.Close())
	}
	return &reading{s, key, o}, nil
}

// reading gives the errors of a body their kind.
type reading struct {
	store *Store
	key   string
	body  io.ReadCloser
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = r.store.fail("read", r.key, err)
	}
	return n, err
}

func (r *reading) Close() error { return r.body.Close() }

// List goes through the objects whose key begins with the prefix, in the order of their keys; it ends with the first error.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for o := range s.client.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}) {
			if o.Err != nil {
				yield(Info{}, s.fail("list", prefix, o.Err))
				return
			}
			if !yield(Info{Key: strings.TrimPrefix(o.Key, s.prefix), Size: o.Size, Modified: o.LastModified}, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(Info{}, s.fail("list", prefix, err))
		}
	}
}

// Delete removes objects; one that is not there is no error. All are tried, the errors are joined.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	var failed []error
	for _, key := range keys {
		// One by one: the removal of many in one request wants another right at some stores, and there are few.
		err := s.client.RemoveObject(ctx, s.bucket, s.prefix+key, minio.RemoveObjectOptions{})
		if err := s.fail("remove", key, err); err != nil && KindOf(err) != NotFound {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
