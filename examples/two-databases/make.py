#!/usr/bin/env python3
"""Makes the two databases of the example: accounts.db and usage.db."""
import os
import sqlite3

for name, script in {
    "accounts": """
        CREATE TABLE projects (id INTEGER PRIMARY KEY, name TEXT, plan TEXT, deleted_at TEXT);
        INSERT INTO projects VALUES (1, 'Harbour', 'pro', NULL), (2, 'Delta', 'free', NULL), (3, 'Quay', 'pro', '2026-02-01'), (4, 'Sound', 'pro', NULL);
    """,
    "usage": """
        CREATE TABLE calls (project INTEGER, day TEXT, calls INTEGER);
        INSERT INTO calls VALUES (1, '2026-03-01', 120), (1, '2026-03-02', 80), (2, '2026-03-02', 7), (3, '2026-01-31', 5000);
    """,
}.items():
    if os.path.exists(name + ".db"):
        os.remove(name + ".db")
    with sqlite3.connect(name + ".db") as db:
        db.executescript(script)
