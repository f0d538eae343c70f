package mysql

import "io"

// SetStep lets a test fail between the steps of a load or a swap.
func (d *DB) SetStep(fn func(name string) error) { d.step = fn }

// SetStream lets a test break the streams that rows are sent by; nil ends it.
func (d *DB) SetStream(fn func(io.Reader) io.Reader) { d.spoil = fn }

// SetInsert makes the warehouse insert rows instead of streaming them.
func (d *DB) SetInsert() { d.noInfile, d.told = true, true }

// SetMirrorStep lets a test fail between the steps of a publication; dead: as if the process had been killed there, nothing is settled.
func (m *Mirrors) SetMirrorStep(fn func(name string) error, dead bool) {
	m.db.step = fn
	m.dead = dead
}

// SetMirrorInsert makes the warehouse insert rows instead of streaming them.
func (m *Mirrors) SetMirrorInsert(only bool) { m.db.noInfile = only }
