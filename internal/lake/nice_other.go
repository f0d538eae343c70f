//go:build !linux

package lake

// beNice does nothing where threads have no priority of their own.
func beNice(int) error { return nil }
