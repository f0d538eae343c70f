package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Disk is a small file system of a test's own.
type Disk struct {
	Dir string
	t   testing.TB
}

// newDisk mounts a file system of so many MiB in a folder of a server's, until the test ends: as root, or by sudo where that asks for no
// password. Where that is not possible the test fails in CI and is skipped elsewhere.
func newDisk(t testing.TB, f *folder, mib int) *Disk {
	t.Helper()
	dir, err := os.MkdirTemp("", "firthdisk")
	if err != nil {
		t.Fatal(err)
	}
	owner := syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}
	if f.as != nil {
		owner = *f.as
	}
	options := fmt.Sprintf("size=%dm,mode=0755,uid=%d,gid=%d", mib, owner.Uid, owner.Gid)
	sudo := false
	if err = unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		sudo = true
		if out, sudoErr := exec.Command("sudo", "-n", "mount", "-t", "tmpfs", "-o", options, "tmpfs", dir).CombinedOutput(); sudoErr != nil {
			err = errors.Join(err, os.Remove(dir), fmt.Errorf("sudo: %w %s", sudoErr, out))
			missing(t, fmt.Sprintf("no file system can be mounted for the test (%v): run the tests as root", err))
		}
	}
	t.Cleanup(func() {
		err := unix.Unmount(dir, unix.MNT_DETACH)
		if sudo {
			err = exec.Command("sudo", "-n", "umount", "-l", dir).Run()
		}
		if err = errors.Join(err, os.Remove(dir)); err != nil {
			t.Error(err)
		}
	})
	return &Disk{Dir: dir, t: t}
}

func (d *Disk) filler() string { return filepath.Join(d.Dir, "filler") }

// Fill takes all room but so many KiB.
func (d *Disk) Fill(leave int) {
	d.t.Helper()
	f, err := os.Create(d.filler())
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err = f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			d.t.Fatal(err)
		}
	}
	end, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := f.Truncate(max(0, end-int64(leave)<<10)); err != nil {
		d.t.Fatal(err)
	}
}

// Free gives back what Fill took.
func (d *Disk) Free() {
	d.t.Helper()
	if err := os.Remove(d.filler()); err != nil {
		d.t.Fatal(err)
	}
}

// SmallDatabase is [PG.Database] on a disk of so many MiB, of which an empty database takes ten. The server's log of changes lies
// elsewhere, so a full disk is an error of the statement that asked for room, and the server goes on.
func (pg *PG) SmallDatabase(mib int) (name string, d *Disk) {
	pg.t.Helper()
	d = newDisk(pg.t, pg.p.folder, mib)
	dir := filepath.Join(d.Dir, "space")
	if err := os.Mkdir(dir, 0o700); err != nil {
		pg.t.Fatal(err)
	}
	pg.p.own(pg.t, dir)
	space := "s" + strconv.FormatInt(pg.count.Add(1), 10)
	pg.Exec("postgres", "CREATE TABLESPACE "+space+" LOCATION '"+dir+"'")
	pg.t.Cleanup(func() {
		if err := pg.exec("postgres", "DROP TABLESPACE "+space); err != nil {
			pg.t.Logf("drop the test's tablespace: %v", err)
		}
	})
	name = pg.Database()
	pg.Exec("postgres", "ALTER DATABASE "+name+" SET TABLESPACE "+space)
	return name, d
}

// SmallDatabase makes a database of a name on a disk of so many MiB, until the test ends. The server's logs lie elsewhere, so a full disk
// is an error of the statement that asked for room, and the server goes on; but MariaDB 11.4 ends itself where it finds no room while it
// takes a large statement back.
func (m *Maria) SmallDatabase(name string, mib int) *Disk {
	m.t.Helper()
	d := newDisk(m.t, m.p.folder, mib)
	dir := filepath.Join(d.Dir, "space")
	if err := os.Mkdir(dir, 0o700); err != nil {
		m.t.Fatal(err)
	}
	m.p.own(m.t, dir)
	if err := os.Symlink(dir, filepath.Join(m.Dir, name)); err != nil { // a folder of the data folder is a database
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if err := m.exec("DROP DATABASE IF EXISTS `" + name + "`"); err != nil {
			m.t.Logf("drop the test's database: %v", err)
		}
	})
	return d
}

// Standby starts a server for one test that follows this one and takes no writes. This one is stopped and started for that, so it should be
// the test's own.
func (pg *PG) Standby() *PG {
	pg.t.Helper()
	pg.p.stop(pg.t, syscall.SIGINT)
	standby := ownPostgres(pg.t, postgresOptions{
		version: pg.Version,
		conf:    []string{fmt.Sprintf("primary_conninfo = 'host=%s port=%d user=postgres password=%s'", pg.Host, pg.Port, adminPassword)},
		fill: func(f *folder, to string) {
			if out, err := exec.Command("cp", "-a", pg.Dir, to).CombinedOutput(); err != nil {
				pg.t.Fatalf("copy the data folder: %v\n%s", err, out)
			}
			f.write(pg.t, filepath.Join(to, "standby.signal"), nil, 0o600)
		},
	})
	pg.Start()
	return standby
}
