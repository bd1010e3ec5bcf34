#!/usr/bin/env bash
# Installs the packages for real nodes and user-mode Linux, on Debian and as root. Elsewhere it
# prints what is missing and succeeds, because other tests do not need them. With CI=true it fails.
#
# It builds nothing (assets.sh does) and starts nothing.
set -euo pipefail

# package and the program by which to know that it is there
needed=(
    containerd:containerd
    runc:runc
    containernetworking-plugins:/usr/lib/cni/ptp
    busybox-static:busybox
    iproute2:ip
    nftables:nft
    iptables:iptables
    util-linux:unshare
    btrfs-progs:mkfs.btrfs
    xfsprogs:mkfs.xfs
    e2fsprogs:mkfs.ext4
)
# A kernel as a program, with project quotas on XFS and ext4. It exists for x86-64 only.
[[ "$(uname -m)" != x86_64 ]] || needed+=(user-mode-linux:linux.uml)

say() { printf '%s\n' "$*" >&2; }

# Folders of the superuser, which the PATH of an ordinary user may lack.
PATH="$PATH:/usr/sbin:/sbin"

missing=()
for entry in "${needed[@]}"; do
    command -v "${entry#*:}" >/dev/null || missing+=("${entry%%:*}")
done
if ((${#missing[@]} == 0)); then
    say "everything that the test bed needs is installed"
    exit 0
fi

cannot=""
if [[ "$(id -u)" != 0 ]]; then
    cannot="not root"
elif ! grep -qsE '^ID(_LIKE)?=.*debian' /etc/os-release || ! command -v apt-get >/dev/null; then
    cannot="not Debian"
fi
if [[ -n "$cannot" ]]; then
    say "the test bed needs, and this machine lacks: ${missing[*]} ($cannot, so nothing was installed)"
    [[ "${CI:-}" != true ]] || exit 1
    exit 0
fi

say "installing with apt-get: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# The packages start services; the test bed runs its own.
install() { apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2; }
if ! install; then
    apt-get update -qq >&2
    install
fi
