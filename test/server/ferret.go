package server

import (
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
)

// Ferret returns the FerretDB of this test binary, which keeps documents in SQLite. The first call starts it; one that a test has stopped
// and left so is started again, with what it held. A test works in a database of its own: see [Documents.Database].
func Ferret(t testing.TB) *Documents {
	t.Helper()
	sharedLock.Lock()
	defer sharedLock.Unlock()
	return sharedDocuments(t, &sharedFerret, func(t testing.TB) *Documents { return newFerret(t, nil, "") })
}

// FerretTLS starts a server for one test whose port is for TLS alone, and which shows a certificate for the host given (its address when
// empty), signed by an authority that no system trusts: its file is CA.
func FerretTLS(t testing.TB, host string) *Documents {
	t.Helper()
	return ownDocuments(t, newFerret(t, NewAuthority(t), host))
}

func newFerret(t testing.TB, a *Authority, host string) *Documents {
	t.Helper()
	programs := installed(t, "ferret")
	f := newFolder(t, "KILL")
	programs = f.reachable(t, programs)
	d := &Documents{Name: "FerretDB", Host: "127.0.0.1", plain: Port(t), t: t, count: new(atomic.Int64)}
	d.Port = d.plain
	data := filepath.Join(f.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	f.own(t, data)
	args := []string{data, strconv.Itoa(d.plain)}
	if a != nil {
		if host == "" {
			host = d.Host
		}
		d.Port, d.CA = Port(t), a.File
		cert, key := a.issue(t, f, host)
		args = append(args, strconv.Itoa(d.Port), cert, key)
	}
	d.p = &process{folder: f, name: filepath.Join(programs, "bin", "ferret"), args: args, up: d.answers}
	d.p.start(t)
	return d
}
