package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"firth/internal/source"
)

// Server is an SSH server that connections go through.
type Server struct {
	Address  string // host or host:port
	User     string
	KeyFile  string // private key, without a passphrase
	Password string // where there is no key
	// KnownHosts lists the keys of servers, as OpenSSH has it; empty: ~/.ssh/known_hosts. A server that is not listed is refused.
	KnownHosts string
}

// Tunnel connects through an SSH server. It connects to it when it is first needed and again after the connection was lost. It is safe for
// use by several goroutines.
type Tunnel struct {
	server Server
	config *ssh.ClientConfig

	mu     sync.Mutex
	client *ssh.Client
}

// patience is how long an SSH server may take to answer.
const patience = 15 * time.Second

// SSH prepares a tunnel: keys are read, nothing is connected yet.
func SSH(s Server) (*Tunnel, error) {
	if _, _, err := net.SplitHostPort(s.Address); err != nil {
		s.Address = net.JoinHostPort(s.Address, "22")
	}
	t := &Tunnel{server: s}
	config := &ssh.ClientConfig{User: s.User, Timeout: patience}
	if s.KeyFile != "" {
		text, err := os.ReadFile(s.KeyFile)
		if err != nil {
			return nil, t.fail(err, "give the path of a private key that this user may read: ssh.key")
		}
		key, err := ssh.ParsePrivateKey(text)
		if missing := (*ssh.PassphraseMissingError)(nil); errors.As(err, &missing) {
			return nil, t.fail(fmt.Errorf("the key %s is locked with a passphrase", s.KeyFile), "make a key without one for this purpose: ssh-keygen -t ed25519 -N '' -f firth_key")
		}
		if err != nil {
			return nil, t.fail(fmt.Errorf("the key %s: %w", s.KeyFile, err), "it must be a private key as ssh-keygen writes it")
		}
		config.Auth = append(config.Auth, ssh.PublicKeys(key))
	}
	if s.Password != "" {
		config.Auth = append(config.Auth, ssh.Password(s.Password))
	}
	if len(config.Auth) == 0 {
		return nil, t.fail(errors.New("neither a key nor a password is given"), "set ssh.key or ssh.password")
	}
	file := s.KnownHosts
	if file == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, t.fail(err, "set ssh.known_hosts")
		}
		file = filepath.Join(home, ".ssh", "known_hosts")
	}
	known, err := knownhosts.New(file)
	if err != nil {
		return nil, t.fail(fmt.Errorf("known hosts: %w", err), "write the server's key into a file and name it in ssh.known_hosts: ssh-keyscan "+hostOf(s.Address)+" > known_hosts, and compare it with what the server's owner says")
	}
	config.HostKeyCallback = known
	config.HostKeyAlgorithms = t.algorithms(known)
	t.config = config
	return t, nil
}

func hostOf(address string) string {
	host, _, _ := net.SplitHostPort(address)
	return host
}

// algorithms are those of the keys that are known for the server: it is asked for one of these, since a server has several keys.
func (t *Tunnel) algorithms(known ssh.HostKeyCallback) (out []string) {
	err := known(t.server.Address, &net.TCPAddr{IP: net.IPv4zero}, noKey{})
	if unknown := (*knownhosts.KeyError)(nil); errors.As(err, &unknown) {
		for _, k := range unknown.Want {
			kind := k.Key.Type()
			if kind == ssh.KeyAlgoRSA {
				out = append(out, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512)
			}
			out = append(out, kind)
		}
	}
	return out
}

// noKey is a key that no server has, to ask which ones are known.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// DialContext connects to an address as the SSH server sees it.
func (t *Tunnel) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	client, fresh, err := t.connected(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := client.DialContext(ctx, network, address)
	if refused := (*ssh.OpenChannelError)(nil); err != nil && !errors.As(err, &refused) {
		t.forget(client)
		if !fresh && ctx.Err() == nil { // it was lost while nobody used it
			if client, _, err = t.connected(ctx); err != nil {
				return nil, err
			}
			conn, err = client.DialContext(ctx, network, address)
		}
	}
	if refused := (*ssh.OpenChannelError)(nil); errors.As(err, &refused) {
		e := t.fail(fmt.Errorf("%s cannot be reached from there: %w", address, err), "the address is resolved by the SSH server; look whether the database listens there and whether the server allows forwarding (AllowTcpForwarding)")
		e.Retry = true
		return nil, e
	}
	if err != nil {
		e := t.fail(fmt.Errorf("the way to %s is cut: %w", address, err), "it is tried again; look at the network between here and the SSH server")
		e.Retry = true
		return nil, e
	}
	return conn, nil
}

// forget drops a connection that does not work any more.
func (t *Tunnel) forget(client *ssh.Client) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.client == client {
		_ = t.client.Close() // it is dead
		t.client = nil
	}
}

// connected is a connection to the SSH server; fresh: it was made by this call.
func (t *Tunnel) connected(ctx context.Context) (client *ssh.Client, fresh bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.client != nil {
		return t.client, false, nil
	}
	dialer := net.Dialer{Timeout: patience, KeepAlive: patience}
	conn, err := dialer.DialContext(ctx, "tcp", t.server.Address)
	if err != nil {
		e := t.fail(err, "look whether the SSH server runs and whether ssh.host is right: ssh "+t.server.User+"@"+hostOf(t.server.Address))
		e.Retry = true
		return nil, false, e
	}
	// A server that accepts and then says nothing must not hold us for ever.
	deadline := time.Now().Add(patience)
	if by, ok := ctx.Deadline(); ok && by.Before(deadline) {
		deadline = by
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, false, errors.Join(err, conn.Close())
	}
	c, channels, requests, err := ssh.NewClientConn(conn, t.server.Address, t.config)
	if err != nil {
		_ = conn.Close() // the first error is the one to tell
		return nil, false, t.refused(err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, false, errors.Join(err, c.Close())
	}
	t.client = ssh.NewClient(c, channels, requests)
	return t.client, true, nil
}

// refused puts the failure of a handshake into words.
func (t *Tunnel) refused(err error) error {
	var key *knownhosts.KeyError
	var timeout net.Error
	switch {
	case errors.As(err, &key) && len(key.Want) == 0:
		return t.fail(errors.New("its key is not known"), "put it into ssh.known_hosts after comparing it with what the server's owner says: ssh-keyscan "+hostOf(t.server.Address))
	case errors.As(err, &key):
		return t.fail(errors.New("its key is another than the known one: it was changed, or somebody is in between"), "ask the server's owner, then correct ssh.known_hosts")
	case errors.As(err, &timeout) && timeout.Timeout():
		e := t.fail(errors.New("it does not answer"), "look whether an SSH server listens there")
		e.Retry = true
		return e
	}
	return t.fail(err, "look whether ssh.user is right and whether its authorized_keys has the public half of ssh.key: ssh -i KEY "+t.server.User+"@"+hostOf(t.server.Address))
}

func (t *Tunnel) fail(err error, hint string) *source.Error {
	return &source.Error{Op: "connect to", Name: "SSH server " + t.server.Address, Err: err, Advice: hint}
}

// Close ends the connection and all that go through it.
func (t *Tunnel) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.client == nil {
		return nil
	}
	err := t.client.Close()
	t.client = nil
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
