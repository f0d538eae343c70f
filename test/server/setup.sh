#!/usr/bin/env bash
# Installs the real servers that the warehouse tests run against: PostgreSQL and MariaDB from Maven Central, an S3-compatible server by
# go install. Everything goes to ${FIRTH_CACHE:-~/.cache/firth}/server, where the tests look; nothing is started and nothing on the
# machine is changed but for unzip, xz and Maven by apt where they are missing. Safe to run again; quick when nothing is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${FIRTH_CACHE:-$HOME/.cache/firth}/server
maven_plugin=org.apache.maven.plugins:maven-dependency-plugin:3.8.1
postgres_versions="12.22.0 15.15.0 18.1.0"
mariadb_version=11.4.5
versitygw_version=v1.8.0
mkdir -p "$cache/bin"

case $(uname -m) in
x86_64) arch=amd64 ;;
aarch64 | arm64) arch=arm64v8 ;;
*) arch=$(uname -m) ;;
esac

say() { echo "test servers: $*"; }

# fresh NAME VERSION: whether the folder NAME holds VERSION; stamp notes that it does.
fresh() { [ "$(cat "$cache/$1/.stamp" 2>/dev/null)" = "$2" ]; }
stamp() { echo "$2" >"$cache/$1/.stamp"; }

# from_maven ARTIFACT: fetches group:name:version into $cache/fetched, through the user's Maven settings.
from_maven() {
  "$here/../../build/need" mvn:maven unzip:unzip xz:xz-utils
  rm -rf "$cache/fetched"
  mvn -B -q "$maven_plugin:copy" -Dartifact="$1" -DoutputDirectory="$cache/fetched" >&2
}

install_postgres() {
  local version=$1 name=postgres-${1%%.*}
  fresh "$name" "$version" && return
  say "installing PostgreSQL $version from Maven Central"
  from_maven "io.zonky.test.postgres:embedded-postgres-binaries-linux-$arch:$version"
  rm -rf "${cache:?}/$name"
  mkdir -p "$cache/$name"
  unzip -p "$cache"/fetched/*.jar '*.txz' | tar xJf - -C "$cache/$name"
  chmod -R a+rX "$cache/$name" # root starts it as nobody
  rm -rf "$cache/fetched"
  stamp "$name" "$version"
}

install_versitygw() {
  local path=$cache/bin/versitygw-$versitygw_version
  [ -x "$path" ] && return
  say "building versitygw $versitygw_version, an S3-compatible server"
  GOBIN="$cache/bin" GOWORK=off GOFLAGS=-mod=mod go install "github.com/versity/versitygw/cmd/versitygw@$versitygw_version"
  mv "$cache/bin/versitygw" "$path"
}

for version in $postgres_versions; do
  install_postgres "$version"
done
install_versitygw
