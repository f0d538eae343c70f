package duckdb

// #include <stdbool.h>
// extern void *duckdb_create_task_state(void *database);
// extern void duckdb_execute_tasks_state(void *state);
// extern void duckdb_finish_execution(void *state);
// extern void duckdb_destroy_task_state(void *state);
import "C"

import (
	"errors"
	"reflect"
	"sync"
	"unsafe"

	bindings "github.com/duckdb/duckdb-go-bindings"
	engine "github.com/duckdb/duckdb-go/v2"
)

// crew are the engine's helping threads, which are there while questions are answered and not while rows are loaded. The engine's
// own threads would be there always, and a statement whose only task one of them takes spins until that is done: a load is
// hundreds of small statements, and a third of its processor time went that way. The setting external_threads tells the engine
// that it has no threads of its own ("Threading Information" in its C API).
type crew struct {
	database unsafe.Pointer
	most     int

	mu    sync.Mutex
	users int
	end   func() // of the threads that are there
}

// newCrew takes the engine's database out of the driver's connector, which has no accessor for it.
func newCrew(c *engine.Connector, threads int) (*crew, error) {
	field := reflect.ValueOf(c).Elem().FieldByName("db")
	if !field.IsValid() || field.Type() != reflect.TypeFor[bindings.Database]() {
		return nil, errors.New("the driver's connector has another shape than expected")
	}
	return &crew{database: field.FieldByName("Ptr").UnsafePointer(), most: threads - 1}, nil
}

// join has the threads there until the function that it returns is called, which waits for them where nobody else has them.
func (c *crew) join() (leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users++; c.users == 1 {
		c.end = c.begin()
	}
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.users--; c.users == 0 {
			c.end()
		}
	})
}

func (c *crew) begin() (end func()) {
	if c.most <= 0 {
		return func() {}
	}
	state := C.duckdb_create_task_state(c.database)
	var threads sync.WaitGroup
	for range c.most {
		threads.Go(func() { C.duckdb_execute_tasks_state(state) })
	}
	return func() {
		C.duckdb_finish_execution(state)
		threads.Wait()
		C.duckdb_destroy_task_state(state)
	}
}
