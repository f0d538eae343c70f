package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"firth/internal/query"
)

// Client asks a server. It is safe for many goroutines.
type Client struct {
	http           *http.Client
	base           string
	user, password string
}

// NewClient returns a client of the server at an address such as http://ana:secret@127.0.0.1:8080.
func NewClient(address string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%q is not the address of a server: it looks like http://127.0.0.1:8080", address)
	}
	c := &Client{http: &http.Client{Transport: http.DefaultTransport}, user: u.User.Username()}
	c.password, _ = u.User.Password()
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	c.base = strings.TrimRight(u.String(), "/")
	return c, nil
}

// maxSocketPath is what fits into sockaddr_un on Linux, less the NUL (unix(7)).
const maxSocketPath = 107

// NewSocketClient returns a client of the server behind a Unix socket.
func NewSocketClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return DialSocket(ctx, path) }
	return &Client{http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}}, base: "http://firth"}
}

// DialSocket connects to a Unix socket, whatever the length of its path.
func DialSocket(ctx context.Context, path string) (net.Conn, error) {
	d := net.Dialer{Timeout: 2 * time.Second}
	if len(path) <= maxSocketPath {
		return d.DialContext(ctx, "unix", path)
	}
	dir, err := os.Open(filepath.Dir(path)) // a path that is too long is named through the open folder
	if err != nil {
		return nil, fmt.Errorf("open socket folder: %w", err)
	}
	conn, err := d.DialContext(ctx, "unix", filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(path)))
	return conn, errors.Join(err, dir.Close())
}

// Write runs a statement and writes its result as the command line prints it; width is that of the
// terminal for a table. truncated says whether the server's row cap cut the result. What the server
// refuses is a *query.Error.
func (c *Client) Write(ctx context.Context, w io.Writer, format query.Format, req query.Request, width int) (truncated bool, err error) {
	if format == query.FormatParquet || format == query.FormatArrow {
		return c.copy(ctx, w, format, req)
	}
	rows, err := c.Rows(ctx, req)
	if err != nil {
		return false, err
	}
	err = query.WriteCells(w, format, rows, width)
	return rows.Truncated(), errors.Join(err, rows.Close())
}

// copy hands a reply through as it comes.
func (c *Client) copy(ctx context.Context, w io.Writer, format query.Format, req query.Request) (bool, error) {
	resp, err := c.post(ctx, format, req)
	if err != nil {
		return false, err
	}
	_, err = io.Copy(w, resp.Body)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("the server broke the reply off; its log says why: %w", err)
	}
	return resp.Trailer.Get(truncatedTrailer) == "true", errors.Join(err, resp.Body.Close())
}

// Get returns the reply of a GET route, for example "sources".
func (c *Client) Get(ctx context.Context, route string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/api/"+route, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", route, err)
	}
	resp, err := c.do(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	return body, errors.Join(err, resp.Body.Close())
}

func (c *Client) post(ctx context.Context, format query.Format, in query.Request) (*http.Response, error) {
	params := []json.RawMessage{}
	for _, p := range in.Params {
		text, err := json.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("write a parameter: %w", err)
		}
		params = append(params, text)
	}
	body, err := json.Marshal(sqlRequest{SQL: in.SQL, Params: params, Format: string(format)})
	if err != nil {
		return nil, fmt.Errorf("write the request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/api/sql", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	return c.do(req)
}

// do sends a request; a status of failure is the *query.Error that the reply tells.
func (c *Client) do(req *http.Request) (*http.Response, error) {
	if c.user != "" {
		req.SetBasicAuth(c.user, c.password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("reach the server: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var reply struct{ Error wireError }
	if json.Unmarshal(body, &reply) != nil || reply.Error.Code == "" {
		reply.Error = wireError{Code: "internal", Message: "the server answered " + resp.Status, Hint: "is it a Firth server?"}
	}
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, fmt.Errorf("read the reply: %w", err)
	}
	return nil, reply.Error.error(resp.StatusCode)
}

// wireError is an error as replies carry it.
type wireError struct {
	Code    query.Code `json:"code"`
	Message string     `json:"message"`
	Hint    string     `json:"hint"`
}

func (e wireError) error(status int) *query.Error {
	return &query.Error{Code: e.Code, Message: e.Message, Hint: e.Hint, Status: status}
}
