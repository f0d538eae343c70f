package redis

import (
	"errors"
	"testing"

	"firth/internal/source"
)

// TestAnswersOfTheServer: which errors of a server go by themselves, and that each has something to do.
func TestAnswersOfTheServer(t *testing.T) {
	s, err := Open(t.Context(), "redis://firth:geheim@db.example.com:6380/2", source.Spec{Keys: "u:{id}", Hash: "u:{id}"}, source.Options{})
	must(t, err)
	for text, retry := range map[string]bool{
		"LOADING Redis is loading the dataset in memory":   true,
		"MASTERDOWN Link with MASTER is down":              true,
		"CLUSTERDOWN Hash slot not served":                 true,
		"MOVED 3999 127.0.0.1:6381":                        true,
		"BUSY Redis is busy running a script":              true,
		"ERR max number of clients reached":                true,
		"NOAUTH Authentication required.":                  false,
		"WRONGPASS invalid username-password pair":         false,
		"NOPERM this user has no permissions to run 'get'": false,
	} {
		wants(t, s.fail("read", errors.New(text)), retry, text, "read db.example.com:6380")
		wants(t, s.keyError("get", "u:1", []byte(text)), retry, text, `key "u:1"`)
		if hint := s.keyError("get", "u:1", []byte(text)).Hint(); hint == "" {
			t.Errorf("%s: no hint", text)
		}
	}
	wants(t, s.fail("read", errReply), false, "Redis server listens")
	if got := s.grant(); got != "ACL SETUSER firth +hgetall +hlen +hmget +hscan +scan +select +type ~u:*" {
		t.Errorf("the statement: %s", got)
	}
}
