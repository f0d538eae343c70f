package query

import (
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// A row group of a Parquet reply ends at whichever comes first; it is held in memory until then.
const (
	groupRows  = 122_880
	groupBytes = 32 << 20
)

// truncatedKey is the key in a Parquet file's metadata that says that the row cap cut the result.
const truncatedKey = "firth.truncated"

// WriteParquet writes a result as one Parquet file. A query that fails on the way leaves a file
// without its footer, which no reader takes, and the error.
func WriteParquet(w io.Writer, r *Result) error {
	schema := arrowSchema(r.Columns())
	output := newOutput(w)
	out, err := pqarrow.NewFileWriter(schema, unclosable{output},
		parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd), parquet.WithMaxRowGroupLength(groupRows)),
		pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return err
	}
	held := 0
	err = eachBatch(r, schema, func(batch arrow.RecordBatch, size int) error {
		if held += size; held > groupBytes {
			held = size
			out.NewBufferedRowGroup()
		}
		return out.WriteBuffered(batch)
	})
	if err != nil {
		return err
	}
	if r.Truncated() {
		err = out.AppendKeyValueMetadata(truncatedKey, "true")
	}
	return output.finish(errors.Join(err, out.Close()))
}

// unclosable hides that a writer can be closed, which the Parquet writer would do.
type unclosable struct{ io.Writer }
