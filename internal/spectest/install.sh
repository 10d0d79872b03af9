#!/usr/bin/env bash
# Fetches the vendors' own API specifications for tests into the user's cache,
# once: GitHub's from its npm package, Okta's from the module of its Go SDK,
# Google's discovery documents from that of its API clients, Microsoft Graph's
# types from their npm package and its operations from its Go SDK.
# Prints the directory. They are not part of Weir and are not committed.
set -euo pipefail
shopt -s inherit_errexit
octokit=23.0.2
octokit_sum=71a18407dd5e8464f4e0525daf03deabbe65abd9287d6adc7b5d98f516cd0d0c
okta=v5.0.2
graph_types=2.43.1
graph_types_sum=08d8b5cac319e0af5415174ee5c7783de46992a0fd1a11e0aac118230a097625
graph_sdk=v1.89.0
google=v0.311.0
dir=${XDG_CACHE_HOME:-$HOME/.cache}/weir/specs
github_dir=$dir/octokit-openapi-$octokit
okta_dir=$dir/okta-sdk-golang-$okta
types_dir=$dir/microsoft-graph-types-$graph_types
graph_dir=$dir/msgraph-sdk-go-$graph_sdk
google_dir=$dir/google-api-$google
mkdir -p "$dir"
tmp=$(mktemp -d "$dir/fetch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
npm_pack() { # package version sum file: prints where the unpacked file is
  if ! command -v npm >/dev/null; then
    if [ "$(id -u)" != 0 ]; then
      echo "npm is needed to fetch $1: install it (Debian: apt-get install npm)" >&2
      exit 1
    fi
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm >&2
  fi
  (
    cd "$(mktemp -d "$tmp/npm.XXXXXX")"
    npm pack --silent "$1@$2" >/dev/null
    echo "$3  $(ls ./*.tgz)" | sha256sum --check --quiet >&2
    tar -xzf ./*.tgz "package/$4"
    echo "$PWD/package/$4"
  )
}
go_module() { # module version: prints where it is. Its sum is checked by the Go command.
  # A module of its own: the SDKs are no dependencies of Weir.
  (
    cd "$(mktemp -d "$tmp/go.XXXXXX")"
    printf 'module specs\n\ngo 1.26\n' >go.mod
    "${GO:-go}" mod download -json "$1@$2" | sed -n 's/^\t"Dir": "\(.*\)",\?$/\1/p'
  )
}
if [ ! -f "$github_dir/ghec.json" ]; then
  from=$(npm_pack @octokit/openapi $octokit $octokit_sum generated/ghec.json)
  mkdir -p "$github_dir"
  mv "$from" "$github_dir/ghec.json"
fi
if [ ! -f "$types_dir/microsoft-graph.d.ts" ]; then
  from=$(npm_pack @microsoft/microsoft-graph-types $graph_types $graph_types_sum microsoft-graph.d.ts)
  mkdir -p "$types_dir"
  mv "$from" "$types_dir/microsoft-graph.d.ts"
fi
if [ ! -f "$graph_dir/operations.txt" ]; then
  from=$(go_module github.com/microsoftgraph/msgraph-sdk-go $graph_sdk)
  (
    cd "$from"
    grep -rE --include='*_request_builder.go' 'NewBaseRequestBuilder\(requestAdapter|^func \(m \*[A-Za-z0-9_]+\) (Get|Post|Patch|Put|Delete)\(' \
      applications auditlogs directory directoryobjects domains drives groups oauth2permissiongrants organization reports rolemanagement \
      serviceprincipals sites subscriptions users
  ) >"$tmp/operations.txt"
  mkdir -p "$graph_dir"
  mv "$tmp/operations.txt" "$graph_dir/operations.txt"
fi
if [ ! -f "$okta_dir/openapi.yaml" ]; then
  from=$(go_module github.com/okta/okta-sdk-golang/v5 $okta)
  mkdir -p "$okta_dir"
  cp "$from/okta/api/openapi.yaml" "$tmp/openapi.yaml"
  chmod 644 "$tmp/openapi.yaml"
  mv "$tmp/openapi.yaml" "$okta_dir/openapi.yaml"
fi
if [ ! -f "$google_dir/drive.json" ] || [ ! -f "$google_dir/alertcenter.json" ]; then
  from=$(go_module google.golang.org/api $google)
  mkdir -p "$google_dir"
  for api in directory reports datatransfer; do cp -f "$from/admin/$api/v1/"*-api.json "$google_dir/$api.json"; done
  cp -f "$from/alertcenter/v1beta1/alertcenter-api.json" "$google_dir/alertcenter.json"
  cp "$from/drive/v3/drive-api.json" "$tmp/drive.json"
  chmod -R u+w "$google_dir" "$tmp/drive.json"
  mv "$tmp/drive.json" "$google_dir/drive.json"
fi
echo "$dir"
