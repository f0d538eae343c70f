package alert

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"syscall"
	"time"

	"firth/internal/state"
)

// Delivery.
const (
	postTimeout   = 10 * time.Second
	lastAnswer    = time.Second // how long the answer to a message that is on its way is waited for when Run ends
	firstPause    = time.Second
	longestPause  = 5 * time.Minute
	longestAsked  = time.Hour // that a webhook may ask for
	answerRead    = 64 << 10
	hintReachable = "see that the webhook of alerts can be reached from here; messages wait meanwhile"
	hintAddress   = "set alerts.webhook to an address that takes POST requests with JSON; messages wait meanwhile"
)

// Run delivers until the context ends, then returns nil. The webhook is tried without end, in longer and longer intervals; of each
// alert only its newest state waits, and nobody waits for the webhook but Run. A webhook that does not take messages makes the state
// degraded. A crash between a delivery and the write to the state file has one message delivered twice.
func (a *Alerter) Run(ctx context.Context) error {
	if a.o.Webhook == "" {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(a.o.tick)
	defer ticker.Stop()
	for {
		a.round(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		case <-ticker.C:
		}
	}
}

// round does what there is to do now.
func (a *Alerter) round(ctx context.Context) {
	a.mu.Lock()
	a.settle(a.o.Now())
	a.mu.Unlock()
	for {
		kept := a.save() // also before anything is delivered, so that a crash beside a slow webhook forgets nothing
		done, told := a.deliver(ctx)
		if done || told != nil {
			a.say(told, kept)
			return
		}
	}
}

// say sets the state by how the last delivery and the last write went; errWaits stands for no delivery since one that failed.
func (a *Alerter) say(told, kept error) {
	before := a.cell.Get()
	var failed *failure
	switch {
	case errors.Is(told, errWaits):
		return
	case errors.As(told, &failed):
		a.cell.SetError(state.Degraded, told, failed.hint)
	case kept != nil:
		a.cell.SetError(state.Degraded, kept, "look at the disk; after a restart some alerts may be told again")
	default:
		a.cell.Set(state.OK)
	}
	after := a.cell.Get()
	switch {
	case after.State == before.State && after.Error == before.Error:
	case after.State == state.OK:
		a.o.Log.Info("alerts are delivered again")
	default:
		a.o.Log.Warn("alerts are not delivered", "error", after.Error, "hint", after.Hint)
	}
}

var errWaits = errors.New("the next delivery waits")

// deliver posts one message; done says that there was none to post.
func (a *Alerter) deliver(ctx context.Context) (done bool, err error) {
	if ctx.Err() != nil {
		return false, errWaits
	}
	k, m, err := a.pending()
	if m == nil || err != nil {
		return true, err
	}
	err = a.post(ctx, m)
	if err != nil && ctx.Err() != nil {
		return false, errWaits
	}
	a.posted(k, m, err)
	return false, err
}

// pending is the next message to deliver, nil where there is none.
func (a *Alerter) pending() (key, *Message, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var waiting []*alert
	for _, al := range a.alerts {
		if al.Told != al.state() {
			waiting = append(waiting, al)
		}
	}
	if len(waiting) == 0 {
		return key{}, nil, nil
	}
	if a.o.Now().Before(a.next) {
		return key{}, nil, errWaits
	}
	// One that the webhook refuses does not stand in the way of the others.
	al := slices.MinFunc(waiting, func(x, y *alert) int {
		return cmp.Or(cmp.Compare(x.tries, y.tries), x.At.Compare(y.At), cmp.Compare(x.Event, y.Event), cmp.Compare(x.Name, y.Name))
	})
	m := &Message{
		Text: al.Begun, Event: al.Event, State: al.state(), Name: al.Name, Error: al.Error, Hint: al.Hint, Since: al.Since.UTC(), At: al.At.UTC(),
	}
	if !al.Firing {
		m.Text = al.Ended
	}
	return key{al.Event, al.Name}, m, nil
}

// posted takes down what became of a message.
func (a *Alerter) posted(k key, m *Message, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	al := a.alerts[k]
	if err == nil {
		a.pause, a.next = 0, time.Time{}
		if al != nil {
			al.Told, al.tries = m.State, 0
		}
		a.dirty = true
		return
	}
	if al != nil {
		al.tries++
	}
	a.pause = min(max(2*a.pause, firstPause), longestPause)
	wait := a.pause
	var failed *failure
	if errors.As(err, &failed) {
		wait = max(wait, failed.after)
	}
	a.next = a.o.Now().Add(wait)
}

// failure says why the webhook did not take a message, without its address.
type failure struct {
	what, hint string
	after      time.Duration // that the webhook asks to wait
}

func (f *failure) Error() string { return "the webhook of alerts " + f.what }

func (a *Alerter) post(ctx context.Context, m *Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return &failure{what: "cannot be told: " + err.Error()}
	}
	// A message that has arrived and is not known to have would be told again by the next process.
	ending := ctx
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), postTimeout)
	defer cancel()
	defer context.AfterFunc(ending, func() { time.AfterFunc(lastAnswer, cancel) })()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.o.Webhook, bytes.NewReader(body))
	if err != nil {
		return &failure{what: "has no address that can be read", hint: hintAddress} // the error has the address
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Firth")
	answer, err := a.client.Do(r)
	if err != nil {
		return &failure{what: reason(err), hint: hintReachable}
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.CopyN(io.Discard, answer.Body, answerRead) // so that the connection can be used again
	if answer.StatusCode/100 == 2 {
		return nil
	}
	f := &failure{what: fmt.Sprintf("answered %d %s", answer.StatusCode, http.StatusText(answer.StatusCode)), hint: hintAddress}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		f.after = min(time.Duration(min(seconds, int(longestAsked/time.Second)))*time.Second, longestAsked)
	}
	return f
}

// reason puts an error of the client into words. Its own text has the address, or parts of it.
func reason(err error) string {
	var name *net.DNSError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	var timeout net.Error
	switch {
	case errors.As(err, &name):
		return "has a host name that cannot be resolved"
	case errors.As(err, &unknown):
		return "has a certificate of an authority that is not trusted"
	case errors.As(err, &verify):
		return "has a certificate that is not valid for it"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "does not speak TLS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refuses the connection"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed the connection without an answer"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "cannot be reached: there is no route to its host"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("gave no answer within %s", postTimeout)
	default:
		return "could not be told"
	}
}
