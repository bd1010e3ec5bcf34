#!/usr/bin/env bash
# Builds the shipped programs, optimised and linked statically, into target/static. Prints that
# directory.
#   deploy/binaries.sh           the webhook, the agent and the speaker
#   deploy/binaries.sh --bench   also the programs behind `make bench`, built in the same way
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The musl target is not available everywhere. glibc links statically too, and still resolves names.
# With --target the flag does not apply to build scripts and derive macros, which cannot be static.
host="$(rustc -vV | sed -n 's/^host: //p')"
flags="-C target-feature=+crt-static"
# Packed relocations take a hundredth of the space, which was half a MiB of the webhook's memory. A
# static program can apply them with glibc 2.36 or later.
if [ "$(printf '%s\n' 'glibc 2.36' "$(getconf GNU_LIBC_VERSION)" | sort -V | head -n 1)" = 'glibc 2.36' ]; then
    flags+=" -C link-arg=-Wl,-z,pack-relative-relocs"
fi
export RUSTFLAGS="${RUSTFLAGS:-} $flags"

programs=(fastrak-webhook fastrak-agent fastrak-speaker)
build=(cargo build --locked --release --target "$host")
"${build[@]}" "${programs[@]/#/--package=}" >&2
if [[ "${1:-}" == --bench ]]; then
    # A separate build, so that the shipped programs get no features of its dependencies.
    "${build[@]}" --package=fastrak-e2e --bin=bench --bin=bare-handler >&2
    programs+=(bench bare-handler)
fi

mkdir -p target/static
for name in "${programs[@]}"; do
    # A running program cannot be written, but it can be replaced.
    cp "target/$host/release/$name" "target/static/.$name"
    mv "target/static/.$name" "target/static/$name"
done
printf '%s\n' "$PWD/target/static"
