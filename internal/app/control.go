package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// The paths where orders are taken, on sockets that only the owner of the data folder can reach; the job's name follows.
const (
	lakePath = "/internal/lake/" // on the control socket: what is done to the lake
	loadPath = "/internal/load/" // on the answering half's socket: what is loaded; the name is that of a warehouse
	syncPath = "/internal/sync/" // and which mirrors are run; the name is that of a mirror
)

// lakeOrder is what a person asks of the lake or of a warehouse: the name of the job and what it needs.
type lakeOrder struct {
	Which  string `json:"which,omitempty"`  // merge: small, large or all
	Source string `json:"source,omitempty"` // merge: one table; empty: every one
	Dir    string `json:"dir,omitempty"`    // backup, restore: an absolute path

	Load *loadOrder `json:"load,omitempty"` // orders to load
	Sync *syncOrder `json:"sync,omitempty"` // orders to run a mirror

	Import *importOrder `json:"import,omitempty"` // orders to import an archive

	Forget *forgetOrder  `json:"forget,omitempty"` // orders to forget people; what it holds is never logged
	Purge  *purgeRequest `json:"purge,omitempty"`  // orders to purge people everywhere; the same
}

// progress is how far a job has come. Stage says what it works at; a Total of 0 is not known.
type progress struct {
	Stage string `json:"stage"`
	Done  int64  `json:"done"`
	Total int64  `json:"total,omitempty"`
	Unit  string `json:"unit,omitempty"` // rows, bytes or files
	// Bytes is how much has come beside what is counted; Left how many seconds the rest may take, 0: not known.
	Bytes int64   `json:"bytes,omitempty"`
	Left  float64 `json:"left,omitempty"`
	// Note is said beside the numbers.
	Note string `json:"note,omitempty"`
}

// lakeJob does one job until it is done or ctx ends. It may be told off at any moment and leaves the lake whole then. It calls
// progress from one goroutine at a time.
type lakeJob func(ctx context.Context, order lakeOrder, progress func(progress)) (report any, err error)

// jobLine is one line of the answer to an order: progress, and at the end either a report or an error.
type jobLine struct {
	Progress *progress       `json:"progress,omitempty"`
	Report   json.RawMessage `json:"report,omitempty"`
	Error    *jobError       `json:"error,omitempty"`
}

type jobError struct {
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// control takes orders on the control socket, which only the owner of the data folder can reach. One job of a kind runs at a
// time. It is safe for use by several goroutines.
type control struct {
	socket string
	path   string // what the names of jobs follow
	jobs   map[string]lakeJob
	log    *slog.Logger
	now    func() time.Time

	mu    sync.Mutex
	since map[string]time.Time // of the jobs that run
}

func newControl(socket string, jobs map[string]lakeJob, log *slog.Logger) *control {
	return &control{socket: socket, path: lakePath, jobs: jobs, log: log, now: time.Now, since: map[string]time.Time{}}
}

// controlPatience is how long jobs may take to end once the server stops.
const controlPatience = 10 * time.Second

// Run serves until ctx ends; then it ends the jobs and waits for them.
func (c *control) Run(ctx context.Context) error {
	l, err := listenSocket(ctx, c.socket)
	if err != nil {
		return fmt.Errorf("open control socket: %w", err)
	}
	srv := &http.Server{Handler: c, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve control socket: %w", err)
	case <-ctx.Done():
	}
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), controlPatience)
	defer cancel()
	err = srv.Shutdown(deadline)
	if err != nil {
		err = srv.Close()
	}
	if rerr := os.Remove(c.socket); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	if serr := <-failed; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return err
}

// ServeHTTP carries out one order: 200 with a line for each step and the outcome in the last line, or at once 404 for an unknown
// job, 400 for an order that cannot be read and 409 while the same job runs.
func (c *control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutPrefix(r.URL.Path, c.path)
	job := c.jobs[name]
	if !ok || job == nil || r.Method != http.MethodPost {
		writeError(w, http.StatusNotFound, "not_found", fmt.Sprintf("the server knows no order %s %s", r.Method, r.URL.Path),
			"is the server of the same version as this command? firth version")
		return
	}
	// The body is read to its end, so that a caller who goes away is noticed from here on.
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var order lakeOrder
	if err == nil {
		err = json.Unmarshal(body, &order)
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, "bad_request", fmt.Sprintf("the order cannot be read: %v", err), "")
		return
	}
	done, err := c.begin(name)
	if err != nil {
		writeError(w, http.StatusConflict, "busy", err.Error(), "wait until it is done, or end it with Ctrl-C where it was started")
		return
	}
	c.carryOut(w, r, name, func(ctx context.Context, o lakeOrder, show func(progress)) (any, error) {
		defer done() // before the outcome is told: who hears it may order again
		return job(ctx, o, show)
	}, order)
}

// begin notes that a job runs; the function it returns ends that.
func (c *control) begin(name string) (done func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since, busy := c.since[name]; busy {
		return nil, fmt.Errorf("another %s is under way since %s ago", c.job(name), spanText(c.now().Sub(since)))
	}
	c.since[name] = c.now()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.since, name)
	}, nil
}

func (c *control) carryOut(w http.ResponseWriter, r *http.Request, name string, job lakeJob, order lakeOrder) {
	began := c.now()
	c.log.Info("order", "job", c.job(name), "order", order.text())
	out := newJobWriter(w)
	report, err := job(r.Context(), order, out.progress)
	took := c.now().Sub(began).Round(time.Millisecond)
	switch {
	case err == nil:
		c.log.Info("order done", "job", c.job(name), "took", took)
		err = out.report(report)
	case r.Context().Err() != nil:
		c.log.Info("order ended before it was done", "job", c.job(name), "took", took)
		err = out.fail(&hinted{err: errors.New("the server stops; the job was ended before it was done"),
			hint: "run the command again: what it had committed stays, and nothing else is left behind"})
	default:
		c.log.Warn("order failed", "job", c.job(name), "took", took, "error", err)
		err = out.fail(err)
	}
	if err != nil && r.Context().Err() == nil {
		c.log.Warn("the outcome of an order was not delivered", "job", c.job(name), "error", err)
	}
}

// job is what a job is called in words.
func (c *control) job(name string) string {
	switch {
	case name == forgetJob:
		return name
	case c.path == loadPath:
		return "load of " + name
	case c.path == syncPath:
		return "run of the mirror " + name
	}
	return name
}

// text is the order for the log.
func (o *lakeOrder) text() string {
	var words []string
	say := func(what, value string) {
		if value != "" {
			words = append(words, what+" "+value)
		}
	}
	say("which", o.Which)
	say("source", o.Source)
	say("dir", o.Dir)
	if l := o.Load; l != nil {
		say("from", momentText(l.From))
		say("to", momentText(l.To))
		say("source", l.Source)
		say("tables", strings.Join(l.Tables, ","))
		if l.Rebuild {
			words = append(words, "rebuild")
		}
	}
	if o.Sync != nil {
		say("sync", o.Sync.text())
	}
	if o.Import != nil {
		say("import", o.Import.text())
	}
	return strings.Join(words, " ")
}

// jobWriter writes the lines of an answer.
type jobWriter struct {
	w     http.ResponseWriter
	flush *http.ResponseController
	now   func() time.Time

	mu    sync.Mutex
	stage string
	last  time.Time
}

func newJobWriter(w http.ResponseWriter) *jobWriter {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	return &jobWriter{w: w, flush: http.NewResponseController(w), now: time.Now}
}

// progressEvery is the least time between two lines of progress of the same stage.
const progressEvery = 100 * time.Millisecond

func (j *jobWriter) progress(p progress) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if p.Stage == j.stage && j.now().Sub(j.last) < progressEvery && (p.Total == 0 || p.Done < p.Total) {
		return
	}
	j.stage, j.last = p.Stage, j.now()
	_ = j.line(jobLine{Progress: &p}) // where the caller has gone the job's context ends
}

func (j *jobWriter) report(report any) error {
	text, err := json.Marshal(report)
	if err != nil {
		return j.fail(fmt.Errorf("write report: %w", err))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.line(jobLine{Report: text})
}

func (j *jobWriter) fail(err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.line(jobLine{Error: &jobError{Message: err.Error(), Hint: hintOf(err)}})
}

func (j *jobWriter) line(l jobLine) error {
	if err := json.NewEncoder(j.w).Encode(l); err != nil {
		return err
	}
	return j.flush.Flush()
}

// hintOf is the hint that an error carries, or "".
func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	var advised interface{ Advice() string } // by an object store
	if errors.As(err, &advised) {
		return advised.Advice()
	}
	return ""
}
