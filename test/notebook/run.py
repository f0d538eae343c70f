"""Runs a notebook in a folder, without a browser, and prints what its variables hold in the end, as JSON."""

import sys

import nbformat
from nbclient import NotebookClient

LAST = """
import json

def frame(f):
    return json.loads(f.to_json(orient="split", date_format="iso"))["data"]

print(json.dumps({
    "by_event": frame(by_event), "active": frame(active), "revenue": frame(revenue), "funnel": list(funnel.values()),
    "timeline": len(timeline), "user": user, "traits": json.loads(traits), "libraries": frame(libraries),
}))
"""

path, folder = sys.argv[1:]
notebook = nbformat.read(path, 4)
nbformat.validate(notebook)
notebook.cells.append(nbformat.v4.new_code_cell(LAST))
NotebookClient(notebook, timeout=50, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
print("".join(o.text for o in notebook.cells[-1].outputs if o.output_type == "stream" and o.name == "stdout"))
