package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"firth/internal/source"
)

// fail puts an error of the connection into words. The address is without its password.
func (t *Table) fail(op string, err error) error {
	var done *source.Error
	if err == nil || errors.As(err, &done) || errors.Is(err, context.Canceled) {
		return err
	}
	e := &source.Error{Op: op, Name: t.name(), Err: err}
	text := err.Error()
	var network net.Error
	switch {
	case strings.Contains(text, handshake) && (errors.Is(err, context.DeadlineExceeded) || ended(err)),
		strings.Contains(text, "tls: first record does not look like a TLS handshake"):
		e.Err = errors.New("it does not answer to TLS")
		e.Advice = "the server speaks without TLS there: write redis:// in place of rediss://, or name its TLS port"
	case code(text) != "" && !ended(err) && !strings.HasPrefix(text, handshake): // EOF looks like a code, too
		e.Advice, e.Retry = t.advice(text)
	case strings.Contains(text, "certificate") || strings.Contains(text, "x509"):
		e.Advice = "name the file of the authority that issued the server's certificate: ca"
	case ended(err):
		e.Err, e.Retry = errors.New("the server ended the connection"), true
		e.Advice = "look into the server's log; one that takes TLS alone ends other connections so: write rediss:// in place of redis://"
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout():
		e.Err, e.Retry = fmt.Errorf("it did not answer in time: %w", err), true
		e.Advice = "look whether the server is busy or the network slow; read_timeout=30s in the address gives it more time"
	case errors.Is(err, errReply):
		e.Advice = "look whether a Redis server listens there"
	default:
		e.Retry = true
		e.Advice = "look whether the server runs and " + t.address + " can be reached from here: redis-cli -h HOST -p PORT ping"
	}
	return e
}

// handshake begins the text of an error while TLS is agreed upon.
const handshake = "TLS handshake: "

func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// code is the first word of an error of the server; empty where that is not what it is.
func code(text string) string {
	word, _, _ := strings.Cut(text, " ")
	if word == "" || strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return ""
	}
	return word
}

// advice says what a person can do about an error of the server, and whether the same may work in a moment.
func (t *Table) advice(text string) (hint string, retry bool) {
	switch code(text) {
	case "NOAUTH":
		return "the server wants a password: redis://USER:PASSWORD@" + t.address, false
	case "WRONGPASS":
		return "user or password are wrong: look at the address of this database; the user without a name is called default", false
	case "NOPERM":
		return "let the user read this: " + t.grant(), false
	case "LOADING":
		return "the server is reading its data from disk: wait until it has", true
	case "MASTERDOWN":
		return "the replica has lost its master: wait, or name another server", true
	case "CLUSTERDOWN":
		return "the cluster is not whole: redis-cli --cluster check " + t.address, true
	case "MOVED", "ASK", "TRYAGAIN":
		return "the cluster is moving keys between its servers: it goes by itself", true
	case "BUSY":
		return "a script keeps the server busy: wait, or SCRIPT KILL", true
	case "MISCONF":
		return "the server cannot write its data to disk: look into its log", true
	}
	if strings.Contains(text, "max number of clients reached") {
		return "raise maxclients at the server, or lower concurrency here", true
	}
	if strings.Contains(text, "DB index is out of range") {
		return "name a database that exists in the address: redis://" + t.address + "/0", false
	}
	if strings.Contains(text, "invalid password") || strings.Contains(text, "without any password configured") {
		return "user or password are wrong: look at the address of this database", false
	}
	return "", false
}

// grant is the statement that lets the user read what is read here.
func (t *Table) grant() string {
	user := t.user
	if user == "" {
		user = "default"
	}
	b := strings.Builder{}
	b.WriteString("ACL SETUSER " + user)
	for _, c := range t.commands() {
		b.WriteString(" +" + strings.ToLower(c))
	}
	for _, p := range t.patterns() {
		b.WriteString(" ~" + p)
	}
	return b.String()
}

// keyError is what the server said to a command about one key.
func (t *Table) keyError(op, key string, reply []byte) *source.Error {
	text := string(reply)
	e := &source.Error{Op: op, Name: t.name(), Err: fmt.Errorf("key %q: %s", key, text)}
	e.Advice, e.Retry = t.advice(text)
	return e
}
