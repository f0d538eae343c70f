package parts

import (
	"context"
	"path/filepath"

	"firth/internal/bench"
	"firth/internal/disk/remote"
	"firth/internal/lake"
	"firth/internal/object"
)

// storeOptions moves a lake to the object store that the job names, with its cache where a server of the data folder has it.
func storeOptions(ctx context.Context, o *lake.Options, job bench.FillJob) (done func() error, err error) {
	if job.Lake == "" {
		return func() error { return nil }, nil
	}
	address, err := object.Parse(job.Lake)
	if err != nil {
		return nil, err
	}
	store, err := object.Open(ctx, job.Lake)
	if err != nil {
		return nil, err
	}
	o.Dir, o.URL = filepath.Join(job.Data, "cache", "lake"), address.Location()
	fs, err := remote.Open(remote.Options{Store: store, Dir: o.Dir, Check: lake.NewCheck})
	if err != nil {
		return nil, err
	}
	o.FS = fs
	return fs.Close, nil
}
