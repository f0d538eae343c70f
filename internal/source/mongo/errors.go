package mongo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"firth/internal/source"
)

// Codes of errors that a server gives, by their names in its error_codes.yml.
const (
	codeUnauthorized         = 13
	codeAuthenticationFailed = 18
	codeNamespaceNotFound    = 26
	codeCursorNotFound       = 43
	codeMaxTimeExpired       = 50
	codeCommandNotFound      = 59
	codeQueryPlanKilled      = 175
	codeUnknownStage         = 40324
	codeAtlas                = 8000
)

// passing are codes of what is over in a moment: a server that stops, steps down or was not reached by another, an interrupted or
// forgotten cursor, a document that is being moved.
//
//nolint:gochecknoglobals // a constant table
var passing = []int{
	6, 7, 43, 46, 63, 64, 89, 91, 112, 133, 134, 150, 189, 202, 234, 237, 262, 290, 317, 384, 9001, 10058, 10107, 11600, 11601, 11602, 13388, 13435,
	13436, codeMaxTimeExpired, codeQueryPlanKilled,
}

// passes reports whether the same may well work in a moment.
func passes(err error) bool {
	var server mongo.ServerError
	if errors.As(err, &server) {
		for _, code := range server.ErrorCodes() {
			if slices.Contains(passing, code) {
				return true
			}
		}
		return server.HasErrorLabel("RetryableError") || server.HasErrorLabel("ResumableChangeStreamError") || server.HasErrorLabel("NetworkError")
	}
	var selection topology.ServerSelectionError
	var pool topology.PoolError
	var network net.Error
	switch {
	case certificate(err) != nil || strings.Contains(err.Error(), "auth error"):
		return false
	case errors.As(err, &selection), errors.As(err, &pool), errors.As(err, &network), mongo.IsNetworkError(err), mongo.IsTimeout(err):
		return true
	}
	var connection topology.ConnectionError
	return errors.As(err, &connection)
}

// certificate is the error that a certificate was refused with, or nil.
func certificate(err error) error {
	var verify *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &host):
		return host
	case errors.As(err, &authority):
		return authority
	case errors.As(err, &invalid):
		return invalid
	case errors.As(err, &verify):
		return verify
	}
	return nil
}

// fail puts an error of the driver in words, with what to do about it. An end of the context stays what it is. The error itself is not
// wrapped: it may tell the password, and a connection that was closed is an io.EOF, which callers would take for the end of the rows.
func (a address) fail(ctx context.Context, op, what string, err error) error {
	if err == nil {
		return nil
	}
	var known *source.Error
	if errors.As(err, &known) {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", op, what, ctx.Err())
	}
	words, advice := a.words(err)
	return &source.Error{
		Op: op, Name: what, Err: errors.New(a.hide(words)), Advice: a.hide(advice), Retry: passes(err),
	}
}

// words is what went wrong and what to do.
func (a address) words(err error) (text, advice string) {
	var bad *badDocument
	if errors.As(err, &bad) {
		return err.Error(), "repair or delete that document, or leave it out by the filter; db.collection.validate({full: true}) finds others"
	}
	var server mongo.ServerError
	if errors.As(err, &server) && !server.HasErrorLabel("NetworkError") {
		return a.serverWords(server)
	}
	if c := certificate(err); c != nil {
		return "the certificate of the server is not accepted: " + c.Error(),
			"give the authority's certificate as ca:, and name the host in the URL as the certificate does"
	}
	if strings.Contains(err.Error(), "auth error") {
		return a.loginWords()
	}
	var selection topology.ServerSelectionError
	if errors.As(err, &selection) {
		return selectionWords(selection)
	}
	if passes(err) {
		return "the connection was lost: " + err.Error(), "look at the server's log; the reading goes on when it is tried again"
	}
	return err.Error(), ""
}

func (a address) loginWords() (text, advice string) {
	if a.user == "" {
		return "the server wants a user", "write the user and password into the URL: mongodb://firth:...@host/" + a.database + "?authSource=admin"
	}
	return fmt.Sprintf("the server refuses the user %s of the database %s or its password", a.user, a.userDB),
		"where the user is defined in another database, say so in the URL, for example ?authSource=admin; characters such as @ : / % in the password are escaped there"
}

func (a address) serverWords(err mongo.ServerError) (text, advice string) {
	var command mongo.CommandError
	text = err.Error()
	if errors.As(err, &command) && command.Message != "" {
		text = command.Message
		if name := command.Name; name != "" && !strings.Contains(text, name) {
			text += " (" + name + ", code " + strconv.Itoa(int(command.Code)) + ")"
		}
	}
	switch {
	case err.HasErrorCode(codeAuthenticationFailed), err.HasErrorCode(codeAtlas) && strings.Contains(err.Error(), "auth"):
		return a.loginWords()
	case err.HasErrorCode(codeUnauthorized):
		if a.user == "" {
			return a.loginWords()
		}
		return text, "a user who may do so runs: " + a.grant()
	case err.HasErrorCode(codeCursorNotFound):
		return "the server has forgotten the cursor: " + text, "it was idle for too long, or the server was restarted; try again"
	case err.HasErrorCode(codeNamespaceNotFound):
		return text, "look at the name of the collection"
	case err.HasErrorCode(codeMaxTimeExpired):
		return text, "the server's limit of time for a query (defaultMaxTimeMS) is too short for this one; an index for the filter helps"
	case err.HasErrorCode(codeQueryPlanKilled):
		return text, "the collection or an index of it was dropped while it was read; try again"
	case err.HasErrorCode(codeUnknownStage):
		return text, "look at the spelling of the stages, and at what this version of the server has"
	case passes(err):
		return text, "the server is stopping, starting or electing; try again"
	}
	return text, "look at the filter, projection, sort or pipeline; db.collection.find(...) in mongosh says the same"
}

// grant is the statement that gives the right to read.
func (a address) grant() string {
	return fmt.Sprintf("db.getSiblingDB(%q).grantRolesToUser(%q, [{ role: \"read\", db: %q }])", a.userDB, a.user, a.database)
}

func selectionWords(err topology.ServerSelectionError) (text, advice string) {
	var parts []string
	for _, s := range err.Desc.Servers {
		part := s.Addr.String()
		if s.LastError != nil {
			cause := s.LastError
			var connection topology.ConnectionError
			if errors.As(cause, &connection) && connection.Wrapped != nil {
				cause = connection.Wrapped
			}
			part += ": " + cause.Error()
		} else {
			part += ": it is a " + s.Kind.String()
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		parts = append(parts, err.Error())
	}
	return "no server can be read from: " + strings.Join(parts, "; "),
		"look at the address in the URL, at firewalls, at tls=true, and at readPreference; a private server is reached with ssh:"
}
