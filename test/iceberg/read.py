"""Reads tables of a catalog with other engines. The variable FIRTH_TOKEN has a token for it.

Each line of the input is a question as a JSON list: engine (pyiceberg, duckdb), URL, question, arguments. Each line of the output is its answer:

spaces                      the namespaces (pyiceberg alone)
names NAMESPACE             the tables that it lists
rows NAMESPACE.TABLE        the columns, and the rows as texts: times as microseconds, bytes in hexadecimal digits, lists as JSON, null for none
join EVENTS COMPANIES       how many events each company has, by name
"""

import json
import os
import sys
from datetime import date, datetime, timezone

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "engine"))

from tables import attach_duckdb, open_duckdb, open_pyiceberg  # noqa: E402

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def text(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        delta = (value if value.tzinfo else value.replace(tzinfo=timezone.utc)) - EPOCH
        return str((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return json.dumps(value, separators=(",", ":"), default=text)
    if isinstance(value, float):
        return repr(value)
    return str(value)


class PyIceberg:
    def __init__(self, url):
        self.catalog = open_pyiceberg(url)

    def arrow(self, name, **scan):
        return self.catalog.load_table(tuple(name.split("."))).scan(**scan).to_arrow()

    def spaces(self):
        return sorted(n[0] for n in self.catalog.list_namespaces())

    def names(self, namespace):
        return sorted(n for _, n in self.catalog.list_tables(namespace))

    def rows(self, name):
        found = self.arrow(name)
        columns = sorted(found.column_names)
        return [columns, sorted([text(r[c]) for c in columns] for r in found.to_pylist())]

    def join(self, events, companies):
        rows = self.arrow(events, selected_fields=("company",))
        names = self.arrow(companies, selected_fields=("id", "name"))
        found = rows.join(names, "company", "id", join_type="inner").group_by("name").aggregate([("company", "count")])
        return sorted([r["name"], str(r["company_count"])] for r in found.to_pylist())


class DuckDB:
    def __init__(self, url):
        self.db = open_duckdb()
        self.db.execute("SET TimeZone = 'UTC'")
        attach_duckdb(self.db, url)

    def names(self, namespace):
        return sorted(r[0] for r in self.db.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'ice' AND schema_name = ?", [namespace]).fetchall())

    def rows(self, name):
        columns = sorted(r[:2] for r in self.db.execute(f"DESCRIBE ice.{name}").fetchall())
        values = [f'epoch_us("{n}")' if kind.startswith("TIMESTAMP") else f'"{n}"' for n, kind in columns]
        found = self.db.execute(f"SELECT {', '.join(values)} FROM ice.{name}")
        return [[n for n, _ in columns], sorted([text(v) for v in row] for row in found.fetchall())]

    def join(self, events, companies):
        return [[n, str(c)] for n, c in self.db.execute(
            f"SELECT c.name, count(*) FROM ice.{events} e JOIN ice.{companies} c ON e.company = c.id GROUP BY ALL ORDER BY 1").fetchall()]


for line in sys.stdin:
    engine, url, question, *arguments = json.loads(line)
    attached = {"pyiceberg": PyIceberg, "duckdb": DuckDB}[engine](url)
    print(json.dumps(getattr(attached, question)(*arguments)), flush=True)
