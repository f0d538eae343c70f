package remote

import "time"

// Dir is the folder.
func (f *FS) Dir() string { return f.dir }

// Touch says that a file was used at a time.
func (f *FS) Touch(name string, at time.Time) { setUsed(name, at) }
