package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"
)

// Kind says what is wrong with a store, for code that branches on it.
type Kind string

// Kinds of trouble.
const (
	NotFound     Kind = "not_found"     // there is no such object
	NoBucket     Kind = "no_bucket"     // there is no such bucket
	Denied       Kind = "denied"        // the credentials are missing, unknown or may not do this
	BadSignature Kind = "bad_signature" // the secret key is wrong, or the clock
	BadRegion    Kind = "bad_region"    // the bucket lies in another region
	Unreachable  Kind = "unreachable"   // nobody answers, or not in time
	Trouble      Kind = "trouble"       // the store answered with a failure of its own, or "slow down", again and again
	Exists       Kind = "exists"        // there is such an object already
	Unsupported  Kind = "unsupported"   // the store cannot do this
	Taken        Kind = "taken"         // somebody else writes there
	Unexpected   Kind = "unexpected"    // anything else
)

const keysHint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write ~/.aws/credentials, or give the machine a role"

// Error is a failure with a hint for the person who has to mend it. Neither holds a secret.
type Error struct {
	Op     string // what was being done: write, read, list, remove
	Object string // the address
	Kind   Kind
	Hint   string
	Err    error
}

// Error says operation, object and cause; the hint is apart.
func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Object, e.Err) }

// Advice is the hint, for code that does not know stores.
func (e *Error) Advice() string { return e.Hint }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first Error in err's chain, and Unexpected where there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Unexpected
}

// fail wraps an error of the library; nil stays nil.
func (s *Store) fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Op: op, Object: s.URL(key), Err: plain(err)}
	e.Kind, e.Hint = s.diagnose(op, err)
	return e
}

// plain leaves out what an error of the HTTP client repeats: the address with all its parameters.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (s *Store) diagnose(op string, err error) (Kind, string) {
	var r minio.ErrorResponse
	if !errors.As(err, &r) {
		var u *url.Error
		var n net.Error
		if errors.Is(err, context.Canceled) {
			return Unexpected, ""
		}
		if errors.As(err, &u) || errors.As(err, &n) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "unexpected EOF") {
			return Unreachable, fmt.Sprintf("see whether %s is up and can be reached from here", s.host)
		}
		return Unexpected, ""
	}
	switch r.Code {
	case minio.NoSuchKey, "NotFound":
		return NotFound, ""
	case minio.NoSuchBucket:
		return NoBucket, fmt.Sprintf("make the bucket (aws s3 mb s3://%s --region %s), or correct its name", s.bucket, s.region)
	case minio.SignatureDoesNotMatch:
		return BadSignature, "the secret key does not belong to the access key id: see AWS_SECRET_ACCESS_KEY or ~/.aws/credentials"
	case "RequestTimeTooSkewed":
		return BadSignature, "set this machine's clock: it is more than 15 minutes off"
	case "InvalidAccessKeyId", "InvalidToken", "ExpiredToken":
		return Denied, "the access key id is not known or has ended: see AWS_ACCESS_KEY_ID, AWS_SESSION_TOKEN or ~/.aws/credentials"
	case minio.AccessDenied, "AllAccessDisabled", "Forbidden":
		return Denied, fmt.Sprintf("allow %s on %s, or give other credentials: %s", actionOf(op), s.resourceOf(op), keysHint)
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "TemporaryRedirect", "IllegalLocationConstraintException", minio.InvalidRegion:
		return BadRegion, fmt.Sprintf("the bucket is not in the region %s: write the right one as region=%s into the address", s.region, firstOf(r.Region, "..."))
	case minio.PreconditionFailed, "ConditionalRequestConflict":
		return Exists, ""
	case minio.NotImplemented:
		return Unsupported, ""
	}
	if r.StatusCode == http.StatusMovedPermanently {
		return BadRegion, fmt.Sprintf("the bucket is not in the region %s: write the right one as region=%s into the address", s.region, firstOf(r.Region, "..."))
	}
	if r.StatusCode >= http.StatusInternalServerError || r.Code == "SlowDown" || r.StatusCode == http.StatusTooManyRequests {
		return Trouble, fmt.Sprintf("%s fails by itself; it is tried again", s.host)
	}
	if strings.Contains(strings.ToLower(r.Message), "access key id") {
		return Denied, "the access key id is not known: see AWS_ACCESS_KEY_ID or ~/.aws/credentials" // some stores have codes of their own for it
	}
	if r.StatusCode == http.StatusForbidden {
		return Denied, fmt.Sprintf("allow %s on %s, or give other credentials: %s", actionOf(op), s.resourceOf(op), keysHint)
	}
	return Unexpected, ""
}

// actionOf is the action of a policy that an operation needs.
func actionOf(op string) string {
	switch op {
	case "write":
		return "s3:PutObject"
	case "read", "look at":
		return "s3:GetObject"
	case "give up an upload of":
		return "s3:AbortMultipartUpload"
	case "list uploads of":
		return "s3:ListBucketMultipartUploads"
	case "remove":
		return "s3:DeleteObject"
	}
	return "s3:ListBucket"
}

func (s *Store) resourceOf(op string) string {
	if strings.HasPrefix(op, "list") {
		return "arn:aws:s3:::" + s.bucket
	}
	return "arn:aws:s3:::" + s.bucket + "/" + s.prefix + "*"
}

func firstError(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}
