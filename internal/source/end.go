package source

import "io"

// AtEnd reports whether an error of Rows.Next is the end of the rows: io.EOF itself. One that is wrapped in another error is a connection
// that was lost, and never the end.
func AtEnd(err error) bool {
	return err == io.EOF //nolint:errorlint // that is the point
}
