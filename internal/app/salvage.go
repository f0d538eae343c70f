package app

import (
	"fmt"

	"firth/internal/disk"
	"firth/internal/journal"
)

// SalvageOptions are those of JournalSalvage. DryRun only tells what would be done.
type SalvageOptions struct {
	LakeOptions
	DryRun bool
}

// JournalSalvage makes a damaged journal whole again and says what was mended, lost and set aside. No server may run on the data folder.
func JournalSalvage(o SalvageOptions) error {
	_, dir, err := o.where()
	if err != nil {
		return err
	}
	lock, err := lockFolder(dir.root)
	if err != nil {
		return hint(err, "stop the server first: it may be at the journal")
	}
	defer lock.release()
	s, err := journal.Salvage(disk.OS{}, dir.journal(), journal.Options{}, o.DryRun)
	if err != nil {
		return hint(err, "%s", journal.Hint(err))
	}
	for _, m := range s.Mended {
		fmt.Fprintf(o.Stdout, "mended: %v\n", &m)
	}
	for _, l := range s.Lost {
		fmt.Fprintf(o.Stdout, "lost: %v\n", l)
	}
	for _, name := range s.Aside {
		fmt.Fprintf(o.Stdout, "set aside: %s\n", name)
	}
	switch {
	case len(s.Mended)+len(s.Lost) == 0:
		fmt.Fprintln(o.Stdout, "The journal is whole; nothing was changed.")
	case o.DryRun:
		fmt.Fprintln(o.Stdout, "Nothing was changed: this was a dry run.")
	}
	return nil
}
