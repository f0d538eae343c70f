#!/bin/sh
# Makes the Python environment of the engine tests, once: PyIceberg, and DuckDB with its iceberg extension as signed files.
# Prints the path of its python. The folder is ${FIRTH_CACHE:-$HOME/.cache/firth}/engine-<checksum of the requirements>.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${FIRTH_CACHE:-$HOME/.cache/firth}
venv=$cache/engine-$(cksum <"$here/requirements.txt" | cut -d' ' -f1)
python=$venv/bin/python

if [ ! -f "$venv/ready" ]; then
	command -v python3 >/dev/null || { echo "setup.sh: python3 is missing: apt-get install python3 python3-venv" >&2; exit 1; }
	mkdir -p "$cache"
	rm -rf "$venv"
	python3 -m venv "$venv" >&2
	"$python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
	touch "$venv/ready"
fi
echo "$python"
