#!/usr/bin/env bash
# Prints the folder with the seven programs of the test bed's Kubernetes. Builds missing ones from
# the modules that go.mod pins.
#
#   assets.sh          find them, or build what is missing; progress on stderr
#   assets.sh --find   find them, or exit with 3 and say on stderr what is missing
#
# It installs nothing on the machine (debian.sh does) and starts no program.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
version="$(sed -n 's/^[[:space:]]*k8s\.io\/kubernetes \(v[0-9.]*\)$/\1/p' "$here/go.mod" | head -n 1)"
go_needed="$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' "$here/go.mod")"
minor="${version%.*}"
# The slowest is built early, which shows soon how long the build takes.
programs=(etcd kube-apiserver kube-controller-manager kube-scheduler kubectl kubelet kube-proxy)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/fastrak/assets/$version"

say() { printf '%s\n' "$*" >&2; }
die() {
    local code="$1"
    shift
    say "$*"
    exit "$code"
}

# Prints the names of the programs that a folder lacks.
lacking() {
    local folder="$1" name
    for name in "${programs[@]}"; do
        [[ -x "$folder/$name" ]] || printf '%s ' "$name"
    done
}

version_of() {
    case "$1" in
        */kubectl) "$1" version --client 2>/dev/null ;;
        *) "$1" --version 2>/dev/null ;;
    esac
}

# Prints the programs of another Kubernetes version than the pinned one. Any etcd that starts is
# accepted, because it has its own versions.
strangers() {
    local folder="$1" name
    for name in "${programs[@]}"; do
        if [[ "$name" == etcd ]]; then
            version_of "$folder/$name" >/dev/null || printf '%s ' "$name"
        elif [[ "$(version_of "$folder/$name")" != *"$minor."* ]]; then
            printf '%s ' "$name"
        fi
    done
}

usable() { [[ -z "$(lacking "$1")" && -z "$(strangers "$1")" ]]; }

find_assets() {
    if [[ -n "${FASTRAK_ASSETS:-}" ]]; then
        # A named folder is not replaced by another.
        local lacks others
        lacks="$(lacking "$FASTRAK_ASSETS")"
        [[ -z "$lacks" ]] || die 3 "FASTRAK_ASSETS=$FASTRAK_ASSETS lacks: $lacks"
        others="$(strangers "$FASTRAK_ASSETS")"
        [[ -z "$others" ]] || die 3 "FASTRAK_ASSETS=$FASTRAK_ASSETS holds programs that are not of Kubernetes $minor: $others"
        printf '%s\n' "$FASTRAK_ASSETS"
        return 0
    fi
    # The output of this script needs no check, because it is complete or absent.
    if [[ -z "${KUBEBUILDER_ASSETS:-}" && -z "$(lacking "$cache")" ]]; then
        printf '%s\n' "$cache"
        return 0
    fi
    if [[ -n "${KUBEBUILDER_ASSETS:-}" ]] && usable "$KUBEBUILDER_ASSETS"; then
        printf '%s\n' "$KUBEBUILDER_ASSETS"
        return 0
    fi
    local found
    if found="$(command -v kube-apiserver)" && usable "$(dirname "$found")"; then
        dirname "$found"
        return 0
    fi
    [[ -z "$(lacking "$cache")" ]] || return 1
    printf '%s\n' "$cache"
}

need_go() {
    local have
    command -v go >/dev/null || die 4 "Go $go_needed or newer is needed to build Kubernetes $version and is not installed.
Install it from https://go.dev/dl/ (on Debian: \`apt-get install golang\` where that is new enough),
or set FASTRAK_ASSETS to a folder with: ${programs[*]}"
    have="$(go env GOVERSION)"
    have="${have#go}"
    # With GOTOOLCHAIN=auto an older Go fetches the needed version itself.
    if [[ "$(printf '%s\n%s\n' "$go_needed" "$have" | sort -V | head -n 1)" != "$go_needed" ]]; then
        [[ "$(cd "$here" && go env GOVERSION 2>/dev/null)" != "go$have" ]] \
            || die 4 "Go $have is older than $go_needed, which Kubernetes $version needs. Install a newer one from https://go.dev/dl/"
    fi
}

package_of() {
    case "$1" in
        etcd) printf 'go.etcd.io/etcd/server/v3' ;;
        *) printf 'k8s.io/kubernetes/cmd/%s' "$1" ;;
    esac
}

elapsed() { printf '%dm%02ds' $((SECONDS / 60)) $((SECONDS % 60)); }

build_one() {
    local name="$1" number="$2" partial="$cache/.$1.partial" job beat=0
    local note="kube-apiserver takes about 10 min on 2 cores"
    local short="${minor#v1.}"
    local stamp="-s -w -X k8s.io/component-base/version.gitVersion=$version"
    stamp+=" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$short"
    stamp+=" -X k8s.io/client-go/pkg/version.gitVersion=$version"
    say "[$number/${#programs[@]}] building $name … (so far $(elapsed); $note)"
    (cd "$here" && CGO_ENABLED=0 GOFLAGS=-mod=readonly GOWORK=off \
        exec go build -trimpath -ldflags "$stamp" -o "$partial" "$(package_of "$name")") >&2 &
    job=$!
    # shellcheck disable=SC2064 # the values of now are the ones meant
    trap "kill $job 2>/dev/null || true; rm -f '$partial'" EXIT
    while kill -0 "$job" 2>/dev/null; do
        sleep 1
        beat=$((beat + 1))
        ((beat % 30 != 0)) || say "[$number/${#programs[@]}] still building $name (so far $(elapsed); $note)"
    done
    wait "$job" || die 5 "building $name failed: see above"
    # A killed build must not look finished.
    mv "$partial" "$cache/$name"
    trap - EXIT
}

build_missing() {
    local number=0 name
    mkdir -p "$cache"
    exec 9>"$cache/.lock"
    flock --nonblock 9 || {
        say "another build of Kubernetes $version is running: waiting for it"
        flock 9
    }
    [[ -n "$(lacking "$cache")" ]] || return 0
    need_go
    say "building Kubernetes $version and etcd into $cache: about 15 min once on 2 cores, from a warm Go cache less than one"
    for name in "${programs[@]}"; do
        number=$((number + 1))
        [[ -x "$cache/$name" ]] || build_one "$name" "$number"
    done
    say "Kubernetes $version is ready after $(elapsed)"
}

case "${1:-}" in
    --find)
        find_assets || die 3 "Kubernetes $version is not there: $cache lacks $(lacking "$cache")(testbed/assets.sh builds it)"
        ;;
    '')
        # An unusable FASTRAK_ASSETS must not start a build.
        [[ -z "${FASTRAK_ASSETS:-}" ]] || { find_assets && exit 0; }
        find_assets || { build_missing && printf '%s\n' "$cache"; }
        ;;
    *)
        die 2 "usage: ${0##*/} [--find]"
        ;;
esac
