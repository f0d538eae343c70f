package server

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Reader makes a second key for the store, which can list and read the bucket and nothing else, by a policy of the bucket.
func (s *Store) Reader() (access, secret string) {
	s.t.Helper()
	access, secret = "test-reader", "test-reader-secret"
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	made := exec.CommandContext(ctx, s.p.name, "admin", "--access", s.AccessKey, "--secret", s.SecretKey, "--region", s.Region, "--endpoint-url", s.Endpoint,
		"create-user", "--access", access, "--secret", secret, "--role", "user")
	if out, err := made.CombinedOutput(); err != nil {
		s.t.Fatalf("make a user of the store: %v\n%s", err, out)
	}
	host := s.Endpoint[len("http://"):]
	client, err := minio.New(host, &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: s.Region, BucketLookup: minio.BucketLookupPath})
	if err != nil {
		s.t.Fatal(err)
	}
	policy := fmt.Sprintf(`{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Principal": {"AWS": [%[1]q]}, "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::%[2]s/*"]},
		{"Effect": "Allow", "Principal": {"AWS": [%[1]q]}, "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": ["arn:aws:s3:::%[2]s"]}]}`, access, s.Bucket)
	if err := client.SetBucketPolicy(ctx, s.Bucket, policy); err != nil {
		s.t.Fatalf("allow a user of the store to read: %v", err)
	}
	return access, secret
}
