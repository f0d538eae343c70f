package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"firth/internal/api"
	"firth/internal/config"
	"firth/internal/mirror"
	"firth/internal/query"
	"firth/internal/state"
	"firth/internal/warehouse"
)

// worker is the answering half: it opens the warehouse, again and again while it cannot be opened, and runs loader and SQL on it.
type worker struct {
	cfg    *config.Config
	dir    folders
	log    *slog.Logger
	state  *state.Cell
	answer atomic.Pointer[answer]
	api    atomic.Pointer[api.Handler]

	history *runHistory
	fleet   *fleet
	alerts  alerter
	mirrors *mirrorFleet
	orders  *control
	syncs   *control
	forgets http.HandlerFunc
	list    *api.Handler // of the warehouses, whether the embedded one is open or not
	tables  *tablesDoor
	// lakeTables are shared by all that write tables into the lake.
	lakeTables *lakeTables
	landed     chan struct{} // closed when fleet and mirrors have ended
}

// childMemory is what the Go half of the child aims to stay under, in bytes; the engine's limit is query.memory and comes on top.
const childMemory = 512 << 20

// lastLook bounds the load of what came in before a stop.
const lastLook = 10 * time.Second

// reopenEvery is how long the worker waits before it tries again to open the warehouse.
const reopenEvery = time.Second

// runChild runs until ctx ends, which is the parent's SIGTERM.
func runChild(ctx context.Context, cfg *config.Config, dir folders, log *slog.Logger, _ string) error {
	debug.SetMemoryLimit(childMemory)
	// Where memory runs out, the system should end the half that comes back without a loss.
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("800"), 0o600); err != nil {
		log.Warn("the system may end the collecting half first when memory runs out", "error", err)
	}
	tables := &lakeTables{}
	servers, mirrors := tables.shared(serverKinds(), newMirrorKinds())
	w := newWorker(cfg, dir, log, servers, mirrors)
	w.lakeTables = tables
	return w.serve(ctx)
}

// serve listens on the socket and works until ctx ends.
func (w *worker) serve(ctx context.Context) error {
	l, err := listenSocket(ctx, w.dir.socket())
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: w, ReadHeaderTimeout: 10 * time.Second}
	group, ctx := errgroup.WithContext(ctx)
	w.orders, w.syncs = w.loadOrders(ctx), w.syncOrders(ctx)
	w.forgets = w.takeForget(ctx, w.syncs)
	group.Go(func() error { return w.history.Run(ctx) })
	group.Go(func() error {
		defer close(w.landed)
		var flying errgroup.Group
		flying.Go(func() error { return w.fleet.Run(ctx) })
		flying.Go(func() error { return w.mirrors.Run(ctx) })
		return flying.Wait()
	})
	group.Go(func() error { return w.alerts.Run(ctx) })
	group.Go(func() error { return w.watch(ctx, alertEvery) })
	group.Go(func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve socket: %w", err)
		}
		return nil
	})
	group.Go(func() error { <-ctx.Done(); return nil })
	group.Go(func() error {
		err := w.run(ctx)
		// The socket stays until the last rows are in, so that the parent sees what is going on.
		err = errors.Join(err, srv.Close())
		if rerr := os.Remove(w.dir.socket()); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
		return err
	})
	return errors.Join(group.Wait(), w.tables.end())
}

func newWorker(cfg *config.Config, dir folders, log *slog.Logger, kinds map[string]serverKind, mirrors mirrorKinds) *worker {
	w := &worker{cfg: cfg, dir: dir, log: log, state: state.New("warehouse"), alerts: newAlerter(cfg, dir, log), landed: make(chan struct{})}
	w.history = newRunHistory(log, func(r warehouse.Run) { w.alerts.RunEnded(r) })
	w.fleet = newFleet(cfg, dir, log, kinds, w.history)
	w.mirrors = newMirrorFleet(cfg, log, mirrors, w.history, func() mirror.Target { return mirrorsOf(w.answer.Load()) })
	w.list = w.newAPI(closedEngine{w.state})
	w.tables = newTablesDoor(cfg, dir, log)
	return w
}

// newAPI is the handler of what comes for /api/.
func (w *worker) newAPI(engine api.Engine) *api.Handler {
	h := api.New(engine, apiUsers(w.cfg))
	// The socket is in a folder that only the owner can enter; what comes through the front door carries its mark.
	h.Trust, h.Log = func(r *http.Request) bool { return r.Header.Get(frontMark) == "" }, w.log
	h.Warehouses, h.Mirrors = w.warehouses, w.mirrorList
	return h
}

// closedEngine answers while the embedded warehouse is not open.
type closedEngine struct{ state *state.Cell }

func (c closedEngine) refuse() error {
	s := c.state.Get()
	return &query.Error{Code: query.CodeFailed, Status: http.StatusServiceUnavailable, Message: "the warehouse is not open: " + s.Error, Hint: s.Hint}
}

// Query implements api.Engine.
func (c closedEngine) Query(context.Context, query.User, query.Request) (*query.Result, error) {
	return nil, c.refuse()
}

// Own implements api.Engine.
func (c closedEngine) Own(context.Context, query.Request) (*query.Result, error) {
	return nil, c.refuse()
}

// ServeHTTP answers what comes over the socket.
func (w *worker) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	switch h := w.api.Load(); {
	case r.URL.Path == statePath && r.Method == http.MethodPost:
		w.exchange(rw, r)
	case strings.HasPrefix(r.URL.Path, loadPath):
		w.takeLoad(rw, r)
	case strings.HasPrefix(r.URL.Path, syncPath):
		w.takeSync(rw, r)
	case r.URL.Path == forgetPath:
		w.forgets(rw, r)
	case r.URL.Path == "/api/warehouses" || r.URL.Path == "/api/mirrors":
		w.list.ServeHTTP(rw, r)
	case forTables(r.URL.Path):
		w.tables.ServeHTTP(rw, r)
	case h != nil:
		h.ServeHTTP(rw, r)
	default:
		c := w.state.Get()
		rw.Header().Set("Retry-After", "2")
		writeError(rw, http.StatusServiceUnavailable, "unavailable", "the warehouse is not open: "+c.Error, c.Hint)
	}
}

// exchange takes how far the collecting half is, and says how this half is.
func (w *worker) exchange(rw http.ResponseWriter, r *http.Request) {
	var in upstream
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		writeError(rw, http.StatusBadRequest, "bad_request", fmt.Sprintf("no figures: %v", err), "")
		return
	}
	out := answerState{Components: w.components()}
	if a := w.answer.Load(); a != nil {
		a.loader.SetUpstream(warehouse.Upstream{
			FlushLag: in.FlushLagSeconds, FlushWaiting: in.PendingEvents,
			MergeFiles: in.MergeWaitingFiles, MergeRows: in.MergeWaitingRows, OldestUnmerged: in.OldestUnmerged,
		})
		out.Load, out.Store = a.loading(r.Context(), time.Now()), a.place.figures()
	}
	out.Load = append(out.Load, w.fleet.loading(r.Context(), time.Now())...)
	out.Warehouses, out.Mirrors = w.fleet.figures(), w.mirrors.figures(w.history)
	out.Store = out.Store.plus(w.lakeTables.figures())
	writeJSON(rw, http.StatusOK, out)
}

func (w *worker) components() []state.Component {
	list := []state.Component{w.state.Get()}
	if a := w.answer.Load(); a != nil {
		list = append(list, a.loader.State(), integrity(a.reader.Damaged()))
		list = append(list, a.tables.components()...)
	}
	list = append(list, w.fleet.components()...)
	list = append(list, w.mirrors.components()...)
	if c := w.alerts.State(); c.Name != "" {
		list = append(list, c)
	}
	return list
}

func (w *worker) run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := w.session(ctx)
		if err != nil && ctx.Err() == nil {
			w.state.SetError(state.Failed, err, warehouse.HintOf(err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(reopenEvery):
		}
	}
	return nil
}

// session is the life of one open warehouse.
func (w *worker) session(ctx context.Context) (err error) {
	a, err := openAnswer(ctx, w.cfg, w.dir, w.log, answerParts{told: w.alerts.RunEnded, others: w.fleet.freshness, tables: w.lakeTables})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	defer a.scrub(ctx, w.log)()
	if err := w.history.recall(ctx, a.db.SQL()); err != nil {
		w.log.Warn("the last runs of an earlier process are not known", "error", err)
	}
	w.history.attach(a.db)
	defer w.detach(ctx)
	w.answer.Store(a)
	w.api.Store(w.newAPI(a.engine))
	w.state.Set(state.OK)
	defer func() { w.api.Store(nil); w.answer.Store(nil) }()
	if err := a.run(ctx); err != nil {
		return err
	}
	// The parent has written its last flush before it stops this half: load that too, but do not hold up the stop for a backlog.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	if err := a.loader.CatchUp(last); err != nil {
		w.log.Warn("stopped before all was loaded; the rest is loaded after the next start", "error", err)
	}
	return nil
}

// detach takes the history away from a warehouse that is about to be closed. At the stop what the fleet has to tell last is written.
func (w *worker) detach(ctx context.Context) {
	defer w.history.attach(nil)
	if ctx.Err() == nil {
		return
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	select {
	case <-w.landed:
	case <-last.Done():
	}
	w.history.flush(last)
}

func apiUsers(cfg *config.Config) []api.User {
	var users []api.User
	for n, u := range cfg.Users {
		users = append(users, api.User{Name: n, Password: string(u.Password), Role: u.Role, Schemas: u.Schemas})
	}
	return users
}
