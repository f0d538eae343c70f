#!/bin/sh
# Makes the Python environment of the notebook tests, once: DuckDB, pandas, and what runs a notebook without a browser.
# Prints the path of its python. The folder is ${FIRTH_CACHE:-$HOME/.cache/firth}/notebook-<checksum of the requirements>.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${FIRTH_CACHE:-$HOME/.cache/firth}
venv=$cache/notebook-$(cksum <"$here/requirements.txt" | cut -d' ' -f1)
python=$venv/bin/python

if [ ! -f "$venv/ready" ]; then
	if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
		echo "notebook tests: installing by apt: python3 python3-venv" >&2
		sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
		$sudo apt-get update -qq >&2
		$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv >&2
	fi
	echo "notebook tests: installing DuckDB, pandas and nbclient in $venv" >&2
	mkdir -p "$cache"
	rm -rf "$venv"
	python3 -m venv "$venv" >&2
	"$python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
	touch "$venv/ready"
fi
echo "$python"
