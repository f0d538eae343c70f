package app

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"firth/internal/lake"
)

// mergeReport is the outcome of firth lake merge.
type mergeReport struct {
	Merges     int     `json:"merges"`
	FilesIn    int     `json:"files_in"`
	FilesOut   int     `json:"files_out"`
	RowsIn     int64   `json:"rows_in"`
	RowsOut    int64   `json:"rows_out"`
	Duplicates int64   `json:"duplicates"`
	BytesIn    int64   `json:"bytes_in"`
	BytesOut   int64   `json:"bytes_out"`
	Seconds    float64 `json:"seconds"`
}

func reportOfMerge(r lake.MergeReport) mergeReport {
	return mergeReport{r.Merges, r.FilesIn, r.FilesOut, r.RowsIn, r.RowsOut, r.Duplicates, r.BytesIn, r.BytesOut, r.Took.Seconds()}
}

func (r mergeReport) text() string {
	if r.Merges == 0 {
		return "nothing to merge\n"
	}
	return fmt.Sprintf("%s became %s in %s: %s, %s left out, %s became %s\n",
		countOf(int64(r.FilesIn), "file"), countText(int64(r.FilesOut)), seconds(r.Seconds), countOf(r.RowsOut, "row"), countOf(r.Duplicates, "duplicate"), sizeText(r.BytesIn), sizeText(r.BytesOut))
}

// expireReport is the outcome of firth lake expire.
type expireReport struct {
	DroppedDays     int64   `json:"dropped_days"`
	DroppedFiles    int64   `json:"dropped_files"`
	DroppedRows     int64   `json:"dropped_rows"`
	ManifestsBefore int64   `json:"manifests_before"`
	ManifestsAfter  int64   `json:"manifests_after"`
	RemovedFiles    int64   `json:"removed_files"`
	RemovedBytes    int64   `json:"removed_bytes"`
	WaitingFiles    int64   `json:"waiting_files"`
	WaitingBytes    int64   `json:"waiting_bytes"`
	ForeignFiles    int64   `json:"foreign_files"`
	Seconds         float64 `json:"seconds"`
}

func reportOfExpire(r lake.TendReport, took time.Duration) expireReport {
	return expireReport{r.DroppedDays, r.DroppedFiles, r.DroppedRows, r.ManifestsBefore, r.ManifestsAfter, r.SweptFiles, r.SweptBytes,
		r.WaitingFiles, r.WaitingBytes, r.ForeignFiles, took.Seconds()}
}

func (r expireReport) text() string {
	var b strings.Builder
	if r.DroppedDays > 0 {
		fmt.Fprintf(&b, "dropped    %s: %s in %s\n", countOf(r.DroppedDays, "day"), countOf(r.DroppedRows, "row"), countOf(r.DroppedFiles, "file"))
	}
	if r.ManifestsBefore != r.ManifestsAfter {
		fmt.Fprintf(&b, "metadata   %s manifests became %s\n", countText(r.ManifestsBefore), countText(r.ManifestsAfter))
	}
	fmt.Fprintf(&b, "removed    %s, %s\n", countOf(r.RemovedFiles, "file"), sizeText(r.RemovedBytes))
	if r.WaitingFiles > 0 {
		fmt.Fprintf(&b, "waiting    %s, %s: to be removed when lake.grace has passed\n", countOf(r.WaitingFiles, "file"), sizeText(r.WaitingBytes))
	}
	if r.ForeignFiles > 0 {
		fmt.Fprintf(&b, "foreign    %s in the lake's folder that Firth did not write: left alone\n", countOf(r.ForeignFiles, "file"))
	}
	return b.String()
}

func seconds(s float64) string { return spanText(time.Duration(s * float64(time.Second))) }

// printReport prints the outcome of a job for a person.
func printReport(w io.Writer, job string, report json.RawMessage) error {
	var r interface{ text() string }
	switch job {
	case jobMerge:
		r = &mergeReport{}
	case jobExpire:
		r = &expireReport{}
	case jobBackup, jobRestore:
		r = &backupReport{}
	default:
		return fmt.Errorf("no words for the outcome of %s", job)
	}
	if err := json.Unmarshal(report, r); err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	text := r.text()
	if job == jobRestore {
		text += "The typed tables follow by themselves while the server runs, or with the next start.\n"
	}
	_, err := io.WriteString(w, text)
	return err
}
