package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// errNobody says that nobody listens on the control socket.
var errNobody = errors.New("no server answers on the data folder")

// errBroken says that an answer ended before its last line.
var errBroken = errors.New("the server went away before the job was done")

// sendOrder asks the server on the socket to do a job, hands progress on, and returns the report. errNobody: nothing was sent.
// When ctx ends the server ends the job.
func sendOrder(ctx context.Context, socket, name string, order lakeOrder, progress func(progress)) (json.RawMessage, error) {
	return sendTo(ctx, socket, lakePath+name, order, progress)
}

// sendTo is sendOrder for any path that takes orders.
func sendTo(ctx context.Context, socket, path string, order lakeOrder, progress func(progress)) (json.RawMessage, error) {
	body, err := json.Marshal(order)
	if err != nil {
		return nil, fmt.Errorf("write order: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://firth"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("write order: %w", err)
	}
	client := &http.Client{Transport: socketTransport(socket)}
	defer client.CloseIdleConnections()
	r, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return nil, fmt.Errorf("%w: %w", errNobody, err)
		}
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return nil, refusal(r)
	}
	return follow(ctx, r.Body, progress)
}

// refusal is the error of an order that was not taken.
func refusal(r *http.Response) error {
	var reply struct {
		Error struct {
			jobError
			Code string
		}
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&reply); err != nil || reply.Error.Message == "" {
		return fmt.Errorf("the server answered %s", r.Status)
	}
	return &hinted{err: errors.New(reply.Error.Message), hint: reply.Error.Hint, usage: reply.Error.Code == codeNoWarehouse}
}

// codeNoWarehouse is the code of an answer to an order for a warehouse that is not configured.
const codeNoWarehouse = "no_warehouse"

func (e *jobError) err() error { return &hinted{err: errors.New(e.Message), hint: e.Hint} }

// follow reads an answer line by line to its end.
func follow(ctx context.Context, body io.Reader, progress func(progress)) (json.RawMessage, error) {
	lines := json.NewDecoder(body)
	for {
		var l jobLine
		if err := lines.Decode(&l); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, hint(fmt.Errorf("%w: %w", errBroken, err), "see the server's log, then run the command again: what was committed stays, and nothing else is left behind")
		}
		switch {
		case l.Error != nil:
			return nil, l.Error.err()
		case l.Report != nil:
			return l.Report, nil
		case l.Progress != nil:
			progress(*l.Progress)
		}
	}
}

// orderPatience is how long a command waits for the sockets of a server that has just been started, on a machine that is busy.
const orderPatience = 15 * time.Second

// nobodyAnswers explains a data folder that is taken by a process which takes no orders.
func nobodyAnswers(dir string) error {
	return hint(fmt.Errorf("another process has the data folder %s and takes no orders", dir),
		"it is a server that starts or stops, or another firth command: try again in a moment")
}

// hereOrThere does a job on a data folder: here, with the folder locked, where no server runs on it; else there, by an order to the
// server, which returns errNobody where nobody takes orders yet.
func hereOrThere[R any](ctx context.Context, root string, here, there func() (R, error)) (R, error) {
	var none R
	for deadline := time.Now().Add(orderPatience); ; {
		lock, err := lockFolder(root)
		if err == nil {
			defer lock.release()
			return here()
		}
		if !errors.Is(err, ErrLocked) {
			return none, hint(err, "choose a folder that this user may write, in data:")
		}
		report, err := there()
		if !errors.Is(err, errNobody) {
			return report, err
		}
		if time.Now().After(deadline) {
			return none, nobodyAnswers(root)
		}
		select {
		case <-ctx.Done():
			return none, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
