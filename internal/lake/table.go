package lake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"firth/internal/lake/catalog"
	"firth/internal/lake/rowfile"
)

// Properties of a table that Firth reads and writes. Each ends with the UUID of a journal.
const (
	// positionKey: every row of the journal below this offset that belongs to the table is in it.
	positionKey = "firth.position."
	// flushedKey: every row of the journal below this offset is in the table it belongs to, whichever that is.
	flushedKey = "firth.flushed."
	// formatKey is the version of the table's shape.
	formatKey     = "firth.format"
	formatVersion = "2"
)

// knownFormat reports whether a table of that format can be read. Format 1 has no column _firth_integrations; all else is as in 2.
func knownFormat(v string) bool { return v == "1" || v == formatVersion }

// knownFormats are for people to read.
const knownFormats = `the formats "1" and "2" only`

// keepSnapshots bounds a table's history, and with it the cost of a commit: the metadata of a table lists all of them.
const keepSnapshots = 50

// dayFieldID is the field id of the partition by day.
const dayFieldID = 1000

// tableProperties keep metadata small: manifests are merged, few versions are kept, all of it is packed. Files that went out
// of use are left to the sweeper, whose grace readers rely on.
//
// Opening a manifest costs about as much as reading fifty files from it, and a merge of manifests is made within some commit. So
// twenty small ones are merged, and one holds some 1,700 files at most: a commit never rewrites more of them than that at a time.
func tableProperties() iceberg.Properties {
	return iceberg.Properties{
		formatKey:                                 formatVersion,
		table.PropertyFormatVersion:               "2",
		table.ManifestMergeEnabledKey:             "true",
		table.ManifestMinMergeCountKey:            "20",
		table.ManifestTargetSizeBytesKey:          "524288",
		table.ManifestMergeMaxConcurrencyKey:      "1",
		table.MetadataDeleteAfterCommitEnabledKey: "false",
		table.MetadataPreviousVersionsMaxKey:      "10",
		table.MetadataCompressionKey:              table.MetadataCompressionCodecGzip,
		table.ParquetCompressionKey:               "zstd",
	}
}

// staleProperties are those settings that an older version gave a table, as they are now. Commits take them along.
func staleProperties(p iceberg.Properties) iceberg.Properties {
	out := iceberg.Properties{}
	for key, value := range tableProperties() {
		if had, ok := p[key]; ok && had != value && key != formatKey {
			out[key] = value
		}
	}
	return out
}

func callSpec() (catalog.Spec, error) {
	return tableSpec(icebergFields(callColumns()), "ts_day", idTS, idEvent, idTS)
}

func deadSpec() (catalog.Spec, error) {
	return tableSpec(icebergFields(deadColumns()), "received_at_day", idDeadReceivedAt, idDeadReceivedAt)
}

func icebergFields[T any](columns []rowfile.Column[T]) []iceberg.NestedField {
	var out []iceberg.NestedField
	for _, c := range columns {
		f := iceberg.NestedField{ID: c.ID, Name: c.Name, Type: iceberg.PrimitiveTypes.String}
		switch c.Kind {
		case rowfile.Long:
			f.Type = iceberg.PrimitiveTypes.Int64
		case rowfile.Time:
			f.Type = iceberg.PrimitiveTypes.TimestampTz
		}
		out = append(out, f)
	}
	return out
}

func tableSpec(fields []iceberg.NestedField, dayName string, daySource int, sorting ...int) (catalog.Spec, error) {
	var order []table.SortField
	for _, id := range sorting {
		order = append(order, table.SortField{
			SourceIDs: []int{id}, Transform: iceberg.IdentityTransform{}, Direction: table.SortASC, NullOrder: table.NullsFirst,
		})
	}
	sortOrder, err := table.NewSortOrder(table.InitialSortOrderID, order)
	if err != nil {
		return catalog.Spec{}, fmt.Errorf("sort order: %w", err)
	}
	return catalog.Spec{
		Schema: iceberg.NewSchema(0, fields...),
		Partitions: iceberg.NewPartitionSpec(iceberg.PartitionField{
			SourceIDs: []int{daySource}, FieldID: dayFieldID, Name: dayName, Transform: iceberg.DayTransform{},
		}),
		Order:      sortOrder,
		Properties: tableProperties(),
	}, nil
}

// openTable loads a table for who commits to it. It is made where it is missing, and brought to the present format where it has an
// earlier one.
func openTable(ctx context.Context, c *catalog.Catalog, name string, spec func() (catalog.Spec, error)) (*table.Table, error) {
	t, err := c.Load(ctx, name)
	if errors.Is(err, catalog.ErrNoTable) {
		s, err := spec()
		if err != nil {
			return nil, fmt.Errorf("create table %s: %w", name, err)
		}
		return c.Create(ctx, name, s)
	}
	if err != nil {
		return nil, err
	}
	if err := checkFormat(t); err != nil {
		return nil, err
	}
	if t.Properties().Get(formatKey, "") == formatVersion {
		return t, nil
	}
	return upgrade(ctx, c, t, name, spec)
}

// upgrade gives a table of an earlier format the columns of the present one, in one commit that touches no file: those that exist
// lack the columns, which engines read as null.
func upgrade(ctx context.Context, c *catalog.Catalog, t *table.Table, name string, spec func() (catalog.Spec, error)) (*table.Table, error) {
	s, err := spec()
	if err != nil {
		return nil, fmt.Errorf("upgrade table %s: %w", name, err)
	}
	updates := []table.Update{table.NewSetPropertiesUpdate(iceberg.Properties{formatKey: formatVersion})}
	present := t.Schema()
	if fields := withAdded(present.Fields(), s.Schema.Fields()); len(fields) > present.NumFields() {
		const lastAdded = -1 // the schema that the same commit adds
		updates = append(updates, table.NewAddSchemaUpdate(iceberg.NewSchema(present.ID+1, fields...)), table.NewSetCurrentSchemaUpdate(lastAdded))
	}
	if _, _, err := c.CommitTable(ctx, t.Identifier(), []table.Requirement{table.AssertCurrentSchemaID(present.ID)}, updates); err != nil {
		return nil, fmt.Errorf("upgrade table %s: %w", name, err)
	}
	return c.Load(ctx, name)
}

// withAdded appends the fields that are wanted and not there, by their ids.
func withAdded(there, wanted []iceberg.NestedField) []iceberg.NestedField {
	out := slices.Clone(there)
	for _, f := range wanted {
		if !slices.ContainsFunc(there, func(have iceberg.NestedField) bool { return have.ID == f.ID }) {
			out = append(out, f)
		}
	}
	return out
}

func checkFormat(t *table.Table) error {
	v := t.Properties().Get(formatKey, "")
	if knownFormat(v) {
		return nil
	}
	return fmt.Errorf("table %s has the format %q and this version of Firth knows %s: run the version that wrote it, or a newer one",
		strings.Join(t.Identifier(), "."), v, knownFormats)
}

// offsets reads the offsets by journal under a prefix of property names.
func offsets(p iceberg.Properties, prefix string) (map[string]uint64, error) {
	out := map[string]uint64{}
	for key, value := range p {
		log, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil {
			return nil, fmt.Errorf("table property %s: %w", key, err)
		}
		out[log] = n
	}
	return out, nil
}

const microsPerDay = int64(24 * time.Hour / time.Microsecond)

// dayOf is the day of a time in Unix microseconds, counted from 1970-01-01.
func dayOf(micros int64) int64 {
	day := micros / microsPerDay
	if micros%microsPerDay < 0 {
		day--
	}
	return day
}

func dayTime(day int64) time.Time { return time.Unix(day*24*60*60, 0).UTC() }
