#!/usr/bin/env python3
"""Lists projects from one database and fills their columns from two: run by Firth as a list and a get."""
import json
import sqlite3
import sys

accounts, usage = (sqlite3.connect(f"file:{name}.db?mode=ro", uri=True) for name in ("accounts", "usage"))

if sys.argv[1] == "list":
    for (project,) in accounts.execute("SELECT id FROM projects WHERE deleted_at IS NULL"):
        print(json.dumps(project))
else:
    for line in sys.stdin:
        project = json.loads(line)
        name, plan = accounts.execute("SELECT name, plan FROM projects WHERE id = ?", [project]).fetchone()
        calls, last = usage.execute("SELECT sum(calls), max(day) FROM calls WHERE project = ?", [project]).fetchone()
        print(json.dumps({"id": project, "name": name, "plan": plan, "calls": calls, "last_day": last}))
