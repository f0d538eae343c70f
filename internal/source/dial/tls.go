// Package dial connects to databases: encrypted as strictly as was asked for, and through an SSH server where they are private.
package dial

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"firth/internal/source"
)

// Modes of TLS, named as PostgreSQL names them (libpq, sslmode).
const (
	Disable    = "disable"
	Require    = "require"     // encrypted; the certificate is not looked at, unless a CA is given
	VerifyCA   = "verify-ca"   // issued by a CA that is trusted
	VerifyFull = "verify-full" // and for the host
)

// TLS is the configuration for a mode; nil for Disable. caFile holds PEM certificates; empty: the system's are trusted. With a CA,
// Require is VerifyCA, as in libpq.
func TLS(mode, caFile, host string) (*tls.Config, error) {
	if mode == Disable {
		return nil, nil //nolint:nilnil // no encryption is a configuration
	}
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pool, err := readCA(caFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	switch mode {
	case VerifyFull:
		return config, nil
	case Require:
		if caFile == "" {
			config.InsecureSkipVerify = true //nolint:gosec // what the mode says
			return config, nil
		}
	case VerifyCA:
	default:
		return nil, fmt.Errorf("TLS mode %q is none of disable, require, verify-ca, verify-full", mode)
	}
	// The chain is checked and the name is not, which the standard library does only by hand.
	config.InsecureSkipVerify = true //nolint:gosec // VerifyConnection checks the chain
	roots := config.RootCAs
	config.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(state, roots) }
	return config, nil
}

func verifyChain(state tls.ConnectionState, roots *x509.CertPool) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server showed no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}

// CheckCA says what keeps a file from being the certificates of an authority, with what to do; nil: it is.
func CheckCA(file string) error {
	_, err := readCA(file)
	var path *fs.PathError
	if errors.As(err, &path) {
		return &source.Error{Op: "read", Name: "the ca " + file, Err: path.Err, Advice: "correct ca: the path of a file that this user may read; a relative one is looked for below the folder that firth was started in"}
	}
	if err != nil {
		return &source.Error{Op: "read", Name: "the ca " + file, Err: errors.New("it holds no certificate"), Advice: "ca names the authority's certificate in PEM, a text that begins with -----BEGIN CERTIFICATE-----"}
	}
	return nil
}

func readCA(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read the CA: %s holds no PEM certificate", file)
	}
	return pool, nil
}
