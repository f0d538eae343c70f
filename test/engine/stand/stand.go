// Package stand is a running Firth with a lake for other engines to attach to: the real binary, on local disk or on an S3-compatible store whose
// keys for readers can read and nothing else.
package stand

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/test/rig"
	"firth/test/server"
)

// The users of a stand. Ana sees all and has a token; Bob sees the events of production alone.
const (
	Token    = "0123456789abcdef-of-ana"
	Ana      = "ana"
	Password = "secret-of-ana"
	Bob      = "bob"
	BobsOwn  = "secret-of-bob"
)

// Start is the time of the first event that is sent; one follows every seven minutes.
var Start = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)

// Events are the names that events have, one after the other.
var Events = []string{"Opened", `a "Plan" – größer`, "Closed", "日本"}

// Stand is a server that engines attach to.
type Stand struct {
	*rig.Server
	Store        *server.Store // nil: on local disk
	Reader, Keys string        // the key that readers get, and its secret
	data, config string
	t            testing.TB
	sent, said   map[string]int // by source: events, and calls that say who somebody is
}

// New starts a server with its lake on local disk, or on a store of its own. More are further lines of firth.yaml.
func New(t testing.TB, onStore bool, more string) *Stand {
	t.Helper()
	s := &Stand{t: t, sent: map[string]int{}, said: map[string]int{}, config: fmt.Sprintf(`sources:
  production: { write_key: key-of-production }
  staging: { write_key: key-of-staging }
users:
  %s: { password: %s, token: %s }
  %s: { password: %s, schemas: [production] }
`, Ana, Password, Token, Bob, BobsOwn) + more}
	lake := "merge: false"
	if onStore {
		s.Store = server.S3(t)
		s.Reader, s.Keys = s.Store.Reader()
		lake += fmt.Sprintf(", url: %q, readers: { access_key: %s, secret_key: %s }", s.Store.URL("lake"), s.Reader, s.Keys)
	}
	s.Server = rig.New(t, s.with(lake))
	s.data = s.Data
	if onStore {
		s.Env = []string{"AWS_ACCESS_KEY_ID=" + s.Store.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.Store.SecretKey}
	}
	s.start()
	return s
}

// start starts the server and returns when its catalog answers, which takes longer than to accept events.
func (s *Stand) start() {
	s.t.Helper()
	s.Start()
	s.Eventually(time.Minute, "the catalog to answer", func() error {
		r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.Catalog()+"/v1/config", nil)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+Token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return errors.New(answer.Status)
		}
		return nil
	})
}

func (s *Stand) with(lake string) string { return s.config + "lake: { " + lake + " }\n" }

// Impatient starts the server again with times so short that what nothing names goes within seconds.
func (s *Stand) Impatient() {
	s.t.Helper()
	s.Stop()
	lake := "merge: false, grace: 5100ms, orphans: 6s"
	if s.Store != nil {
		lake += fmt.Sprintf(", url: %q, readers: { access_key: %s, secret_key: %s }", s.Store.URL("lake"), s.Reader, s.Keys)
	}
	s.Configure(s.data, s.with(lake)+"query: { deadline: 5s }\n")
	s.start()
}

// Catalog is the URL that engines attach to.
func (s *Stand) Catalog() string { return s.URL + "/iceberg" }

// ReaderEnv is the environment of an engine: without the keys of the server.
func ReaderEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
}

// Send sends events of a source and returns when they are in the lake, in one commit or more. Their properties have what extra says too.
func (s *Stand) Send(source string, n int, extra string) {
	s.t.Helper()
	var batch []string
	for range n {
		i := s.sent[source]
		s.sent[source]++
		name, err := json.Marshal(Events[i%len(Events)])
		if err != nil {
			s.t.Fatal(err)
		}
		user := fmt.Sprintf(`"userId": "user %d"`, i%17)
		if i%11 == 0 {
			user = fmt.Sprintf(`"anonymousId": "anonymous %d"`, i)
		}
		batch = append(batch, fmt.Sprintf(`{"type": "track", "messageId": "%s-%06d", %s, "event": %s, "timestamp": %q, "properties": {"n": %d, "company": %d%s}}`,
			source, i, user, name, Start.Add(time.Duration(i)*7*time.Minute).Format(time.RFC3339), i, i%5, extra))
	}
	s.post(source, batch)
}

// Identify says what plan users have, each in a call, and returns when it is in the lake.
func (s *Stand) Identify(source, plan string, users ...int) {
	s.t.Helper()
	var batch []string
	for _, user := range users {
		s.said[source]++
		batch = append(batch, fmt.Sprintf(`{"type": "identify", "messageId": "%s-identify-%d", "userId": "user %d", "timestamp": %q, "traits": {"plan": %q}}`,
			source, s.said[source], user, Start.Add(time.Duration(s.said[source])*time.Hour).Format(time.RFC3339), plan))
	}
	s.post(source, batch)
}

func (s *Stand) post(source string, batch []string) {
	s.t.Helper()
	status, answer, err := s.Post(s.t.Context(), "/v1/batch", "key-of-"+source, []byte(`{"batch": [`+strings.Join(batch, ",")+`]}`))
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("send: %d, %v: %s", status, err, answer)
	}
	s.Eventually(time.Minute, "the events to be in the lake", func() error {
		rows, err := s.Ask("SELECT count(*) FROM lake." + source)
		if want := fmt.Sprint(s.sent[source] + s.said[source]); err == nil && rows[0][0] != want {
			err = fmt.Errorf("%s rows, want %s", rows[0][0], want)
		}
		return err
	})
}

// Ask asks Firth's own SQL, as Ana. Every value is its text, null is the word.
func (s *Stand) Ask(query string) ([][]string, error) {
	body, err := json.Marshal(map[string]string{"sql": query})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+"/api/sql", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth(Ana, Password)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	var out struct {
		Rows  [][]any
		Error *struct{ Code, Message string }
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", answer.Status, err, text)
	}
	if out.Error != nil {
		return nil, fmt.Errorf("%s: %s: %s", answer.Status, out.Error.Code, out.Error.Message)
	}
	rows := make([][]string, 0, len(out.Rows))
	for _, row := range out.Rows {
		var texts []string
		for _, v := range row {
			texts = append(texts, Text(v))
		}
		rows = append(rows, texts)
	}
	return rows, nil
}

// MustAsk is Ask for a question that has an answer.
func (s *Stand) MustAsk(query string) [][]string {
	s.t.Helper()
	rows, err := s.Ask(query)
	if err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return rows
}

// Text is a value of a JSON answer as text.
func Text(v any) string {
	if v == nil {
		return "null"
	}
	return fmt.Sprint(v)
}
