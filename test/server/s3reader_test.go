package server

import (
	"bytes"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// The key for readers reads and lists, and can neither write nor remove.
func TestReaderOfAStore(t *testing.T) {
	s := S3(t)
	access, secret := s.Reader()
	client := func(access, secret string) *minio.Client {
		c, err := minio.New(s.Endpoint[len("http://"):], &minio.Options{Creds: credentials.NewStaticV4(access, secret, ""), Region: s.Region, BucketLookup: minio.BucketLookupPath})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ctx, body := t.Context(), []byte("hello")
	if _, err := client(s.AccessKey, s.SecretKey).PutObject(ctx, s.Bucket, "a/b", bytes.NewReader(body), 5, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	reader := client(access, secret)
	if info, err := reader.StatObject(ctx, s.Bucket, "a/b", minio.StatObjectOptions{}); err != nil || info.Size != 5 {
		t.Errorf("read: %+v, %v", info, err)
	}
	for o := range reader.ListObjects(ctx, s.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil || o.Key != "a/b" {
			t.Errorf("list: %+v", o)
		}
	}
	if _, err := reader.PutObject(ctx, s.Bucket, "a/c", bytes.NewReader(body), 5, minio.PutObjectOptions{}); minio.ToErrorResponse(err).Code != "AccessDenied" {
		t.Errorf("write: %v", err)
	}
	if err := reader.RemoveObject(ctx, s.Bucket, "a/b", minio.RemoveObjectOptions{}); minio.ToErrorResponse(err).Code != "AccessDenied" {
		t.Errorf("remove: %v", err)
	}
	if got := s.Objects(); len(got) != 1 || got[0] != "a/b" {
		t.Errorf("in the end: %q", got)
	}
}
