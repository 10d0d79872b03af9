#!/usr/bin/env bash
# Fetches the ClickHouse engine (libchdb.so, some 560 MB unpacked) for tests and
# benchmarks into the user's cache, once, and prints its path.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=$(cat "$here/VERSION")
dir=${XDG_CACHE_HOME:-$HOME/.cache}/weir/clickhouse/$version
lib=$dir/libchdb.so
case $(uname -m) in
  x86_64) package=@chdb/lib-linux-x64-gnu sum=c0d32b129e988f2b9a9a31c9141aecf5e1e2453f9a079efc4d36ab8e3f92b2ad ;;
  aarch64) package=@chdb/lib-linux-arm64-gnu sum= ;; # not checked: no such machine has run this
  *) echo "no ClickHouse library for $(uname -m)" >&2; exit 1 ;;
esac
if [ ! -f "$lib" ]; then
  if ! command -v npm >/dev/null; then
    if [ "$(id -u)" != 0 ]; then
      echo "npm is needed to fetch ClickHouse: install it (Debian: apt-get install npm)" >&2
      exit 1
    fi
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm >&2
  fi
  mkdir -p "$dir"
  tmp=$(mktemp -d "$dir/fetch.XXXXXX")
  trap 'rm -rf "$tmp"' EXIT
  (cd "$tmp" && npm pack --silent "$package@$version" >/dev/null)
  if [ -n "$sum" ]; then
    echo "$sum  $(ls "$tmp"/*.tgz)" | sha256sum --check --quiet >&2
  fi
  tar -xzf "$tmp"/*.tgz -C "$tmp" package/libchdb.so
  mv "$tmp/package/libchdb.so" "$lib"
fi
echo "$lib"
