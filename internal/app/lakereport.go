package app

import (
	"encoding/json"
	"fmt"
	"io"
)

// printReport prints the outcome of a job for a person.
func printReport(w io.Writer, job string, report json.RawMessage) error {
	_, err := fmt.Fprintf(w, "%s: %s\n", job, report)
	return err
}
