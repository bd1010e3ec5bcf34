#!/usr/bin/env bash
# Prints the path of the program in baseline/, with which `make bench` compares. Builds it if it is
# missing or its source has changed.
#
#   baseline.sh          find it, or build it; progress on stderr
#   baseline.sh --find   find it, or exit with 3
#
# No test needs it.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/baseline"
digest="$(cat "$here/main.go" "$here/go.mod" "$here/go.sum" | sha256sum | cut -c 1-16)"
program="${XDG_CACHE_HOME:-$HOME/.cache}/fastrak/baseline/$digest/baseline"

say() { printf '%s\n' "$*" >&2; }

if [[ ! -x "$program" ]]; then
    [[ "${1:-}" != --find ]] || exit 3
    command -v go >/dev/null || {
        say "Go is needed to build the webhook that fastrak is measured against: https://go.dev/dl/"
        exit 4
    }
    say "building the controller-runtime webhook that fastrak is measured against (once, about 2 min on 2 cores)"
    folder="$(dirname "$program")"
    mkdir -p "$folder"
    # A killed build must not look finished.
    (cd "$here" && CGO_ENABLED=0 GOFLAGS=-mod=readonly GOWORK=off \
        go build -trimpath -ldflags '-s -w' -o "$folder/.partial.$$" .) >&2
    mv "$folder/.partial.$$" "$program"
fi
printf '%s\n' "$program"
