#!/usr/bin/env bash
# Runs all tests on a Debian machine that has a Rust toolchain, after installing what else they need: a few system
# packages where they are missing, and real etcd releases and tools in the build directory.
#
#   tests/run.sh [--strict] [--prepare] [ARGUMENT…]
#
# --strict    what is not available here is a failure, no longer just a line in the list at the end
# --prepare   installs only
# ARGUMENT…   for cargo test
#
# Ends with cargo's exit status.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

strict=false
prepare=false
while (($#)); do
    case $1 in
        --strict) strict=true ;;
        --prepare) prepare=true ;;
        *) break ;;
    esac
    shift
done

heading() { printf '\n== %4d s  %s\n' "$SECONDS" "$*"; }

# install_packages PACKAGE…: from the system's own sources, of which a broken foreign one does no harm.
install_packages() {
    local as_root=()
    if ((EUID != 0)); then
        if ! command -v sudo >/dev/null; then
            echo "tests/run.sh: not root, no sudo, and these packages are missing: $*" >&2
            return 1
        fi
        as_root=(sudo)
    fi
    "${as_root[@]}" apt-get -q update || true
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "$@"
}

if ! command -v cargo >/dev/null; then
    echo "tests/run.sh: no cargo: install the Rust toolchain that Cargo.toml names (rust-version)" >&2
    exit 1
fi

missing=()
if ! command -v cc >/dev/null || [[ ! -e /usr/include/stdio.h ]]; then missing+=(gcc libc6-dev); fi
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then missing+=(python3 python3-venv); fi
if [[ ! -e /etc/ssl/certs/ca-certificates.crt ]]; then missing+=(ca-certificates); fi
if ! compgen -G '/usr/share/keyrings/debian-archive-keyring.*' >/dev/null; then missing+=(debian-archive-keyring); fi
if ! PATH=$PATH:/usr/sbin:/sbin command -v ip >/dev/null; then missing+=(iproute2); fi
if ! command -v systemd-socket-activate >/dev/null; then missing+=(systemd); fi
if ((${#missing[@]})); then
    heading "system packages: ${missing[*]}"
    install_packages "${missing[@]}"
fi

heading "etcd releases"
releases=$(tests/support/etcd.sh)
echo "$releases"

heading "tools"
tests/support/tools.sh python

not_run=$(sed -n 's/^not available: //p' <<<"$releases")
status=0
if ! $prepare; then
    heading "cargo test"
    output=$(mktemp)
    trap 'rm -f "$output"' EXIT
    cargo test --locked --no-fail-fast "$@" | tee "$output" || status=${PIPESTATUS[0]}
    not_run_too=$(sed -nE 's/^(test .*) \.\.\. ignored(, )?(.*)$/\1 (\3)/p' "$output" | sed 's/ ()$/ (ignored)/')
fi

heading "not run here:"
printf '%s\n' "$not_run" "${not_run_too:-}" | sed '/^$/d; s/^/  /' | grep . || echo "  nothing was left out"

if $strict && [[ -n $not_run && $status == 0 ]]; then
    echo "tests/run.sh: --strict, and not everything is available" >&2
    status=1
fi
exit "$status"
