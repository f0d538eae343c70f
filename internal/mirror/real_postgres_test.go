package mirror_test

import (
	"testing"
	"time"

	"firth/internal/mirror"
	"firth/internal/warehouse/postgres"
)

func digestOf(table string) string {
	return "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, ',' ORDER BY id)), '') FROM " + table + " AS t"
}

func TestPostgresToPostgres(t *testing.T) {
	s := newStand(t, 30_000)
	warehouse, err := postgres.OpenMirrors(t.Context(), s.url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = warehouse.Close() })
	target := mirror.Adapt(warehouse)
	equal := func() {
		t.Helper()
		if want, got := s.text(digestOf("public.every")), s.text(digestOf("copied.every")); want != got {
			t.Fatalf("the copy is %s, the source %s", got, want)
		}
	}
	run(t, s.mirror(target, true, mirror.Config{Mode: mirror.ModeReplace}))
	equal()
	if s.raws.Load() == 0 {
		t.Error("the rows were not passed through")
	}
	s.exec("UPDATE public.every SET name = 'changed', at = '2030-01-01' WHERE id % 1000 = 0", "DELETE FROM public.every WHERE id = 77", "INSERT INTO public.every (id, u, at) VALUES (0, gen_random_uuid(), '2030-01-01')")
	run(t, s.mirror(target, true, mirror.Config{Mode: mirror.ModeReplace}))
	equal()

	c := mirror.Config{Mode: mirror.ModeUpsert, Cursor: "at", DeleteMissing: true}
	run(t, s.mirror(target, true, c))
	equal()
	s.exec("UPDATE public.every SET name = 'again', at = '2025-06-01' WHERE id < 10", "DELETE FROM public.every WHERE id = 78")
	run(t, s.mirror(target, true, c))
	run(t, s.mirror(target, true, c))
	if rep := run(t, s.mirror(target, true, c)); rep.Inserted+rep.Updated+rep.Deleted != 0 || rep.Finished.Sub(rep.Started) > time.Second {
		t.Errorf("%s", rep.Text())
	}
	if got := s.text("SELECT count(*)::text FROM copied.every WHERE id = 78"); got != "0" {
		t.Errorf("a row that is gone is there")
	}
}
