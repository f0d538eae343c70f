package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a certificate authority made for one test.
type Authority struct {
	File string // its certificate, PEM
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes one.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{File: filepath.Join(t.TempDir(), "ca.pem"), key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Firth test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.File, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue writes a certificate for a host, a name or an address, and its key into a server's folder.
func (a *Authority) issue(t testing.TB, f *folder, host string) (certFile, keyFile string) {
	t.Helper()
	cert, key := a.pem(t, host)
	certFile, keyFile = filepath.Join(f.dir, "server.pem"), filepath.Join(f.dir, "server.key")
	f.write(t, certFile, cert, 0o644)
	f.write(t, keyFile, key, 0o600)
	return certFile, keyFile
}

// Issue makes a certificate for a host, a name or an address, for a server within the test.
func (a *Authority) Issue(t testing.TB, host string) tls.Certificate {
	t.Helper()
	cert, err := tls.X509KeyPair(a.pem(t, host))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (a *Authority) pem(t testing.TB, host string) (cert, secret []byte) {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: text})
}

// PostgresTLS starts a server for one test that takes connections with TLS alone and shows a certificate for the host given (its
// address when empty), signed by an authority that no system trusts: its file is CA, which the URLs name.
func PostgresTLS(t testing.TB, version, host string) *PG {
	t.Helper()
	return ownPostgres(t, postgresOptions{
		version: version, tls: NewAuthority(t), host: host,
		hba: []string{"hostssl all all 127.0.0.1/32 scram-sha-256"},
	})
}
