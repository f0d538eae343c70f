package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"firth/internal/config"
	"firth/internal/lake"
	"firth/internal/lake/catalog"
)

// manyUnmerged is how many files of one day may wait to be merged before that is worth a word.
const manyUnmerged = 1000

// tables looks at the tables of the lake, and at nothing but their metadata.
func tables(ctx context.Context, cfg *config.Config, dir folders) Finding {
	f := countTables(ctx, cfg, dir)
	if at, err := cfg.LakeDir(); err == nil && f.OK && f.Hint == "" && cfg.LakeStore() == "" && strings.Contains(catalog.Location(at), "%") {
		f.Hint = "the path of the lake, " + at + ", has characters that a URL encodes, such as a space. Firth reads it; DuckDB's iceberg extension and PyIceberg do not. " +
			"Choose a plain path in data: or lake.url, or move it while Firth is stopped"
	}
	return f
}

func countTables(ctx context.Context, cfg *config.Config, dir folders) Finding {
	f := Finding{What: "events"}
	if _, err := os.Stat(dir.catalog()); errors.Is(err, os.ErrNotExist) {
		f.OK, f.Found = true, "none yet: the lake is made with the first start"
		return f
	}
	sum, err := sumTables(ctx, cfg, dir)
	if errors.Is(err, lake.ErrMoved) {
		f.OK, f.Found = true, err.Error() // by itself, with the next start
		return f
	}
	if err != nil {
		f.Found = err.Error()
		if f.Hint = hintOf(lakeHint(err)); f.Hint == "" {
			f.Hint = "see docs/operating.md; the lake can be brought back from a backup: firth lake restore DIR"
		}
		return f
	}
	f.OK = true
	if sum.tables == 0 && sum.files == 0 {
		f.Found = "none yet: the tables are made with the first start that reaches the lake"
		return f
	}
	f.Found = fmt.Sprintf("%s of %s in %s, %s (%s below lake.merge.small.bytes)",
		countOf(sum.rows, "row"), countOf(int64(sum.tables), "table"), countOf(sum.files, "file"), sizeText(sum.bytes), countText(sum.small))
	if sum.most > manyUnmerged {
		f.Hint = fmt.Sprintf("one day has %s small files, which makes questions about it slow: firth lake merge", countText(sum.most))
	}
	return f
}

// tableSum adds up the files of all tables.
type tableSum struct {
	tables             int
	files, rows, bytes int64
	small, most        int64 // files below the size that the mergers make, and the most of them on one day
}

func sumTables(ctx context.Context, cfg *config.Config, dir folders) (sum tableSum, err error) {
	reader, err := openLakeReader(ctx, cfg, dir)
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	names, err := reader.Sources(ctx)
	if err != nil {
		return sum, err
	}
	sum.tables = len(names)
	if names, err = withDeadLetters(ctx, reader, names); err != nil {
		return sum, err
	}
	for _, name := range names {
		snap, err := reader.Snapshot(ctx, name)
		if err != nil {
			return sum, err
		}
		small := map[string]int64{}
		for _, file := range snap.Files {
			if file.Bytes < int64(cfg.Lake.Merge.Small.Bytes) {
				day := file.Day.String()
				small[day]++
				sum.small++
				sum.most = max(sum.most, small[day])
			}
		}
		sum.files, sum.rows, sum.bytes = sum.files+int64(len(snap.Files)), sum.rows+snap.Rows, sum.bytes+snap.Bytes
	}
	return sum, nil
}
