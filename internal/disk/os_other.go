//go:build !linux

package disk

import (
	"errors"
	"os"
)

func datasync(f *os.File) error { return f.Sync() }

func free(string) (uint64, error) { return 0, errors.ErrUnsupported }
