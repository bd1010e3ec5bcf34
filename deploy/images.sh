#!/usr/bin/env bash
# Builds the images with buildah, podman or docker.
#   TAG=v0.1.0 deploy/images.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

static="$(deploy/binaries.sh)"
for builder in buildah podman docker; do
    command -v "$builder" >/dev/null && break
    builder=""
done
[[ -n "$builder" ]] || {
    printf 'none of buildah, podman and docker is installed (Debian: apt-get install buildah)\n' >&2
    exit 1
}
for program in webhook agent speaker; do
    "$builder" build --file deploy/Dockerfile --target "$program" --tag "fastrak-$program:${TAG:-dev}" "$static"
done
