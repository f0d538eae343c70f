package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"firth/internal/source"
	"firth/internal/source/feed"
	"firth/internal/vector"
)

// answer is what a request brings, page by page.
type answer struct {
	t    *Table
	pick *source.Pick
	id   string
	from vector.Value

	response *http.Response // nil: all was read
	feed     *feed.Reader
	next     string // address of the page to be asked for; empty: none
	pages    int
	seen     map[string]bool
}

func (a *answer) begin(r *http.Response, f *feed.Reader) { a.response, a.feed = r, f }

// turn asks for the next page.
func (a *answer) turn(ctx context.Context) error {
	if a.seen == nil {
		a.seen = map[string]bool{}
	}
	if a.seen[a.next] || a.pages >= mostPages {
		return a.t.fail(errors.New("its pages go round in a circle"), "look at what the service answers in "+a.t.spec.Next)
	}
	a.seen[a.next] = true
	a.pages++
	response, err := a.t.ask(ctx, http.MethodGet, a.next, nil) //nolint:bodyclose // Next or Close closes it
	if err != nil {
		return err
	}
	body := watch(response.Body)
	if a.t.spec.Next == "" {
		a.begin(response, feed.New(body, a.id, a.pick))
	} else {
		a.begin(response, feed.NewPage(body, a.id, a.pick, a.t.spec.Next))
	}
	return nil
}

// Next implements source.Rows. An answer that breaks off is an error that may be tried again.
func (a *answer) Next(ctx context.Context, b *source.Batch) error {
	for a.response != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := a.feed.Next(b)
		switch {
		case source.AtEnd(err):
			if a.feed.Open() && endless(a.response) {
				return a.t.fail(errors.New("its answer has neither a length nor chunks: lines that are cut off would look like all of them"),
					"let the service answer with an array of objects, or by HTTP/1.1 with Content-Length or chunks")
			}
			if err := a.over(ctx); err != nil {
				return err
			}
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			e := a.t.fail(fmt.Errorf("page %d of its answer: %w", max(a.pages, 1), err), "the service must answer with one JSON object a line, or an array of them; if the answer broke off it is tried again")
			e.Retry = true
			return e
		}
		kept := b.Docs
		if a.from.Kind != vector.Null {
			kept = b.Docs[:0]
			for i := range b.Docs {
				if source.Reaches(b.Docs[i].Find(a.t.spec.Cursor), a.from) {
					kept = append(kept, b.Docs[i])
				}
			}
		}
		if b.Docs = kept; len(kept) > 0 {
			return nil
		}
	}
	return io.EOF
}

// endless reports whether nothing but the end of the connection ends an answer.
func endless(r *http.Response) bool {
	return r.ProtoMajor < 2 && r.ContentLength < 0 && len(r.TransferEncoding) == 0 && !r.Uncompressed
}

// over ends a page that was read and begins the next.
func (a *answer) over(ctx context.Context) error {
	address := a.feed.Address()
	err := a.response.Body.Close()
	here := a.response.Request.URL
	a.response, a.feed = nil, nil
	if err != nil || address == "" {
		return err
	}
	next, err := here.Parse(address)
	if err != nil {
		return a.t.fail(errors.New("the address of the next page is no address"), "look at what the service answers in "+a.t.spec.Next)
	}
	if !samePlace(next, a.t.base) {
		return a.t.fail(fmt.Errorf("its next page is at another place, %s", next.Host), "only pages of the same service are followed, since the headers are meant for it")
	}
	a.next = next.String()
	return a.turn(ctx)
}

func samePlace(a, b *url.URL) bool { return a.Host == b.Host && a.Scheme == b.Scheme }

// Close drops what was not read.
func (a *answer) Close() error {
	if a.response == nil {
		return nil
	}
	err := a.response.Body.Close()
	a.response = nil
	return err
}

// watched is a body that fails when nothing comes for long.
type watched struct {
	io.ReadCloser
	timer *time.Timer
}

// watch closes a body that is quiet for too long, which ends the read that waits for it.
func watch(body io.ReadCloser) io.Reader {
	w := &watched{ReadCloser: body}
	w.timer = time.AfterFunc(quietPatience, func() { _ = body.Close() }) // what is read then says that it was closed
	w.timer.Stop()
	return w
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(quietPatience)
	n, err := w.ReadCloser.Read(p)
	if !w.timer.Stop() && err != nil {
		err = fmt.Errorf("nothing came for %s", quietPatience)
	}
	return n, err
}
