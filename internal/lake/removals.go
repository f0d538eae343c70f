package lake

import (
	"fmt"
	"maps"
	"strconv"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// removalsKey is a property that counts the commits which took rows away for good.
const removalsKey = "firth.removals"

func removals(p iceberg.Properties) (uint64, error) {
	text, ok := p[removalsKey]
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("property %s: %w", removalsKey, err)
	}
	return n, nil
}

// removes says whether a commit takes rows away: one that only writes them anew is a replacement.
func (sw swap) removes() bool { return len(sw.remove) > 0 && sw.op != table.OpReplace }

// properties are those that change with the commit.
func (sw swap) properties(present iceberg.Properties) (iceberg.Properties, error) {
	set := iceberg.Properties{}
	if sw.set != nil {
		maps.Copy(set, sw.set(present))
	}
	if sw.removes() {
		n, err := removals(present)
		if err != nil {
			return nil, err
		}
		set[removalsKey] = strconv.FormatUint(n+1, 10)
	}
	return set, nil
}
