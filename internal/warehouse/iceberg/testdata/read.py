"""Prints the rows of a table of an Iceberg SQL catalog as JSON, by PyIceberg.

usage: read.py CATALOG.db NAMESPACE TABLE [FILTER...]

First all rows, then for each filter those that it lets through.

Values are texts that say what they are exactly: floats in hexadecimal, times in microseconds, bytes in hexadecimal, null for null.
"""

import json
import sys
from datetime import date, datetime, timezone
from decimal import Decimal

from pyiceberg.catalog import load_catalog


def text(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, datetime):
        utc = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        delta = utc - datetime(1970, 1, 1, tzinfo=timezone.utc)
        return str((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)


def answer(scan):
    arrow = scan.to_arrow()
    return {
        "files": len(list(scan.plan_files())),
        "rows": [[text(row[c]) for c in arrow.column_names] for row in arrow.to_pylist()],
    }


def main():
    path, namespace, name = sys.argv[1:4]
    catalog = load_catalog("firth", type="sql", uri="sqlite:///" + path)
    table = catalog.load_table((namespace, name))
    json.dump({
        "types": {f.name: str(f.field_type) for f in table.schema().fields},
        "all": answer(table.scan()),
        "filtered": {f: answer(table.scan(row_filter=f)) for f in sys.argv[4:]},
    }, sys.stdout)


main()
