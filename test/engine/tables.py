"""Reads the tables of a lake with another engine and prints what it finds as JSON.

usage: tables.py pyiceberg|duckdb CATALOG EVENT FROM TO

CATALOG is the path of the catalog's database, or the URL of a catalog, for which the variable FIRTH_TOKEN has a token. EVENT, FROM and TO (ISO 8601) are the filters that are counted. For each table of the namespace lake:
rows, the sum of the offsets, nulls by column, a digest of all values, the rows of the event and those of the time.
"""

import hashlib
import json
import os
import sys
from datetime import datetime, timezone

COLUMNS = [
    "message_id", "type", "event", "ts", "received_at", "sent_at", "original_timestamp",
    "user_id", "anonymous_id", "properties", "context", "og_payload", "_firth_log", "_firth_offset",
    "_firth_integrations",
]
TIMES = {"ts", "received_at", "sent_at", "original_timestamp"}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def micros(value):
    delta = value - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def digest(rows):
    """A digest of rows in the order of their offsets; times count as microseconds, nulls as the word null."""
    sha = hashlib.sha256()
    for row in sorted(rows, key=lambda r: r["_firth_offset"]):
        for name in COLUMNS:
            value = row[name]
            if isinstance(value, datetime):
                value = micros(value)
            sha.update(("null" if value is None else str(value)).encode() + b"\x1f")
    return sha.hexdigest()


def summary(rows):
    return {
        "rows": len(rows),
        "offsets": sum(r["_firth_offset"] for r in rows),
        "nulls": {c: n for c in COLUMNS if (n := sum(r[c] is None for r in rows))},
        "digest": digest(rows),
    }


def open_pyiceberg(catalog):
    from pyiceberg.catalog import load_catalog

    if catalog.startswith("http"):
        return load_catalog("lake", type="rest", uri=catalog, token=os.environ["FIRTH_TOKEN"])
    return load_catalog("firth", type="sql", uri="sqlite:///" + catalog)


def pyiceberg(path, event, start, end):
    catalog = open_pyiceberg(path)
    out = {}
    for name in sorted(n for _, n in catalog.list_tables("lake")):
        table = catalog.load_table(("lake", name))
        if name.startswith("firth_"):
            out[name] = {"rows": table.scan().to_arrow().num_rows}
            continue
        found = summary(table.scan().to_arrow().to_pylist())
        by_event = table.scan(row_filter=f"event = '{event}'")
        by_time = table.scan(row_filter=f"ts >= '{start}' and ts < '{end}'")
        found["event"] = by_event.to_arrow().num_rows
        found["time"] = by_time.to_arrow().num_rows
        found["files"] = len(list(table.scan().plan_files()))
        found["files_of_time"] = len(list(by_time.plan_files()))
        found["spec"] = str(table.spec().fields)
        found["order"] = str(table.sort_order().fields)
        found["statistics"] = statistics(table)
        out[name] = found
    return out


def statistics(table):
    """What the manifests say of all files together, so that it can be compared with the rows."""
    files = table.inspect.files().to_pylist()
    sizes = [c for f in files for c in (f["column_sizes"] or [])]
    return {
        "record_count": sum(f["record_count"] for f in files) if files else 0,
        "sort_orders": sorted({f["sort_order_id"] for f in files}),
        "sized": all(v > 0 for _, v in sizes) and bool(sizes),
        "bounds": min((len(f["lower_bounds"] or []) for f in files), default=0),
    }


def open_duckdb():
    import importlib.util

    import duckdb as engine

    version = "v" + engine.__version__
    db = engine.connect()
    for extension in ("avro", "httpfs", "iceberg"):
        spec = importlib.util.find_spec("duckdb_extension_" + extension)
        folder = os.path.join(os.path.dirname(spec.origin), "extensions", version)
        db.execute(f"LOAD '{folder}/{extension}.duckdb_extension'")
    db.execute("SET TimeZone = 'UTC'")
    return db


def attach_duckdb(db, url):
    db.execute(f"CREATE SECRET firth (TYPE iceberg, TOKEN '{os.environ['FIRTH_TOKEN']}')")
    db.execute(f"ATTACH '' AS ice (TYPE iceberg, ENDPOINT '{url}', SECRET firth)")


def scans(db, catalog):
    """What to read each table of the namespace lake by."""
    import sqlite3

    if catalog.startswith("http"):
        attach_duckdb(db, catalog)
        names = db.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'ice' AND schema_name = 'lake' ORDER BY 1").fetchall()
        return [(name, f'ice.lake."{name}"') for name, in names]
    rows = sqlite3.connect(f"file:{catalog}?mode=ro", uri=True).execute(
        "SELECT table_name, metadata_location FROM iceberg_tables WHERE table_namespace = 'lake' ORDER BY 1").fetchall()
    return [(name, f"iceberg_scan('{location}')") for name, location in rows]


def duckdb(path, event, start, end):
    db = open_duckdb()
    out = {}
    for name, scan in scans(db, path):
        if name.startswith("firth_"):
            out[name] = {"rows": db.sql(f"SELECT count(*) FROM {scan}").fetchone()[0]}
            continue
        quoted = ", ".join(f'epoch_us("{c}")' if c in TIMES else f'"{c}"' for c in COLUMNS)
        rows = [dict(zip(COLUMNS, r)) for r in db.sql(f"SELECT {quoted} FROM {scan}").fetchall()]
        found = summary(rows)
        found["event"] = db.execute(f"SELECT count(*) FROM {scan} WHERE event = ?", [event]).fetchone()[0]
        found["time"] = db.execute(
            f"SELECT count(*) FROM {scan} WHERE ts >= ?::TIMESTAMPTZ AND ts < ?::TIMESTAMPTZ", [start, end]).fetchone()[0]
        out[name] = found
    return out


if __name__ == "__main__":
    engine, *arguments = sys.argv[1:]
    json.dump({"pyiceberg": pyiceberg, "duckdb": duckdb}[engine](*arguments), sys.stdout, indent=1, sort_keys=True)
