"""Asks engines about a catalog that they attach to by its URL, with the token of the variable FIRTH_TOKEN.

Each line of the input is a question as a JSON list: engine (pyiceberg, duckdb), URL (or the path of a database, for tables), question, arguments. Each line of the output is its answer:

tables EVENT FROM TO        what tables.py prints
snapshots TABLE             the rows that each snapshot has, oldest first
count NAMESPACE.TABLE       how many rows there are, and the names of the columns
join EVENTS COMPANIES       events by the name of their company
insert TABLE                tries to add rows: the error that it gets
snippet CODE                carries out code of the page of engines: the rows that it finds
put LOCATION                tries to write a file with the keys that a table comes with: the error that it gets
"""

import ast
import json
import os
import sys

import tables
from tables import attach_duckdb, open_duckdb, open_pyiceberg


def fails(what):
    try:
        what()
    except Exception as error:  # whatever it is, it is what the test wants to see
        return f"{type(error).__name__}: {error}"
    return ""


class PyIceberg:
    def __init__(self, url):
        self.catalog = open_pyiceberg(url)

    def load(self, name):
        return self.catalog.load_table(tuple(name.split(".")))

    def snapshots(self, name):
        table = self.load(name)
        return [[s.snapshot_id, table.scan(snapshot_id=s.snapshot_id).to_arrow().num_rows] for s in table.snapshots()]

    def count(self, name):
        rows = self.load(name).scan().to_arrow()
        return [rows.num_rows, sorted(rows.column_names)]

    def join(self, events, companies):
        import pyarrow as pa

        rows = self.load(events).scan(selected_fields=("properties",)).to_arrow()
        company = pa.array([json.loads(p)["company"] for p in rows["properties"].to_pylist()], pa.int64())
        names = self.load(companies).scan(selected_fields=("id", "name")).to_arrow()
        names = names.set_column(0, "id", names["id"].cast(pa.int64()))
        found = pa.table({"id": company}).join(names, "id", join_type="inner").group_by("name").aggregate([("id", "count")])
        return sorted([r["name"], r["id_count"]] for r in found.to_pylist())

    def snippet(self, code):
        *before, last = ast.parse(code).body
        names = {"TOKEN": os.environ["FIRTH_TOKEN"]}
        exec(compile(ast.Module(before, []), "page", "exec"), names)
        return eval(compile(ast.Expression(last.value), "page", "eval"), names).num_rows

    def insert(self, name):
        table = self.load(name)
        return fails(lambda: table.append(table.scan(limit=2).to_arrow()))

    def put(self, location):
        io = self.load("lake.production").io

        def write():
            with io.new_output(location).create(overwrite=True) as f:
                f.write(b"x")

        return fails(write)


class DuckDB:
    def __init__(self, url):
        self.db = open_duckdb()
        attach_duckdb(self.db, url)

    def rows(self, query):
        return [list(r) for r in self.db.execute(query).fetchall()]

    def snapshots(self, name):
        ids = self.rows(f"SELECT snapshot_id FROM iceberg_snapshots(ice.{name}) ORDER BY sequence_number")
        return [[i, self.rows(f"SELECT count(*) FROM ice.{name} AT (VERSION => {i})")[0][0]] for i, in ids]

    def count(self, name):
        columns = [d[0] for d in self.db.execute(f"SELECT * FROM ice.{name} LIMIT 0").description]
        return [self.rows(f"SELECT count(*) FROM ice.{name}")[0][0], sorted(columns)]

    def join(self, events, companies):
        return self.rows(f"""SELECT c.name, count(*) FROM ice.{events} e JOIN ice.{companies} c ON (e.properties ->> '$.company')::BIGINT = c.id
            GROUP BY ALL ORDER BY 1""")

    def snippet(self, code):
        db = open_duckdb()
        answers = [db.execute(statement).fetchall() for statement in code.split(";") if statement.strip()]
        return [rows[0][0] for rows in answers if rows and isinstance(rows[0][0], int) and not isinstance(rows[0][0], bool)]

    def insert(self, name):
        self.db.execute("SET unsafe_iceberg_ignore_sort_order = true")  # else it refuses sorted tables by itself
        return fails(lambda: self.db.execute(f"INSERT INTO ice.{name} SELECT * FROM ice.{name} LIMIT 2"))

    def put(self, location):
        self.rows("SELECT count(*) FROM ice.lake.production")  # which brings the keys
        return fails(lambda: self.db.execute(f"COPY (SELECT 1) TO '{location}' (FORMAT parquet)"))


if __name__ == "__main__":
    for line in sys.stdin:
        engine, url, question, *arguments = json.loads(line)
        if question == "tables":
            answer = getattr(tables, engine)(url, *arguments)
        else:
            answer = getattr({"pyiceberg": PyIceberg, "duckdb": DuckDB}[engine](url), question)(*arguments)
        print(json.dumps(answer), flush=True)
