#!/usr/bin/env bash
# Fetches the vendors' own API specifications for tests into the user's cache,
# once: GitHub's from its npm package, Okta's from the module of its Go SDK,
# Google's discovery documents from that of its API clients.
# Prints the directory. They are not part of Weir and are not committed.
set -euo pipefail
octokit=23.0.2
octokit_sum=71a18407dd5e8464f4e0525daf03deabbe65abd9287d6adc7b5d98f516cd0d0c
okta=v5.0.2
google=v0.311.0
dir=${XDG_CACHE_HOME:-$HOME/.cache}/weir/specs
github_dir=$dir/octokit-openapi-$octokit
okta_dir=$dir/okta-sdk-golang-$okta
google_dir=$dir/google-api-$google
mkdir -p "$dir"
tmp=$(mktemp -d "$dir/fetch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
if [ ! -f "$github_dir/ghec.json" ]; then
  if ! command -v npm >/dev/null; then
    if [ "$(id -u)" != 0 ]; then
      echo "npm is needed to fetch GitHub's specification: install it (Debian: apt-get install npm)" >&2
      exit 1
    fi
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm >&2
  fi
  (cd "$tmp" && npm pack --silent "@octokit/openapi@$octokit" >/dev/null)
  echo "$octokit_sum  $(ls "$tmp"/*.tgz)" | sha256sum --check --quiet >&2
  tar -xzf "$tmp"/*.tgz -C "$tmp" package/generated/ghec.json
  mkdir -p "$github_dir"
  mv "$tmp/package/generated/ghec.json" "$github_dir/ghec.json"
fi
if [ ! -f "$okta_dir/openapi.yaml" ]; then
  # A module of its own: the SDK is no dependency of Weir. Its sum is checked by
  # the Go command.
  (cd "$tmp" && printf 'module specs\n\ngo 1.26\n' >go.mod &&
    from=$("${GO:-go}" mod download -json "github.com/okta/okta-sdk-golang/v5@$okta" | sed -n 's/^\t"Dir": "\(.*\)",\?$/\1/p') &&
    mkdir -p "$okta_dir" && cp "$from/okta/api/openapi.yaml" new.yaml && chmod 644 new.yaml && mv new.yaml "$okta_dir/openapi.yaml")
fi
if [ ! -f "$google_dir/drive.json" ]; then
  (cd "$tmp" && printf 'module specs\n\ngo 1.26\n' >go.mod &&
    from=$("${GO:-go}" mod download -json "google.golang.org/api@$google" | sed -n 's/^\t"Dir": "\(.*\)",\?$/\1/p') &&
    mkdir -p google && for api in directory reports datatransfer; do cp "$from/admin/$api/v1/"*-api.json "google/$api.json"; done &&
    cp "$from/drive/v3/drive-api.json" google/drive.json && chmod -R u+w google && rm -rf "$google_dir" && mv google "$google_dir")
fi
echo "$dir"
