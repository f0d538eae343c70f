package load_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"firth/internal/load"
	"firth/internal/schedule"
)

// tidy is a warehouse that counts how often it is asked to tidy up.
type tidy struct {
	*remote
	tended int
}

func (w *tidy) Tend(context.Context) error {
	w.tended++
	return errors.New("it could not be done")
}

// TestRunnerTends: after each run that went well, and a failure there makes no run fail.
func TestRunnerTends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &tidy{remote: newRemote()}
		o := options(newFakeLake(), nil, nil)
		o.Name, o.Warehouse = "ice", nil
		open := func(ctx context.Context) (load.Warehouse, error) {
			if _, err := w.open(ctx); err != nil {
				return nil, err
			}
			return w, nil
		}
		stop := begin(t, load.NewRunner(load.RunnerOptions{Loader: o, Open: open, Schedule: schedule.Every(time.Minute)}))
		time.Sleep(10*time.Minute + time.Second)
		stop()
		if w.tended < 9 || w.tended > 11 {
			t.Errorf("tended %d times in ten minutes", w.tended)
		}
	})
}
