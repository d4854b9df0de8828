#!/usr/bin/env bash
# Puts real etcd releases beside each other into <build directory>/etcd/<version>/bin, without touching an etcd
# that the system has. Debian's packages give 3.4 and 3.5, a Go toolchain gives 3.6 and 3.7.
#
# Prints one line a version, "etcd 3.5.30 target/etcd/3.5.30 (debian sid)", and one a release line that could not
# be had, "not available: etcd 3.6 (no Go toolchain)". Fails when there is no etcd from 3.5 on. A second run only
# prints. <build directory>/etcd/default names the version that most tests use: the newest 3.5.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/support/apt.sh

# Oldest first, so that a version is credited to the most stable suite that has it.
readonly suites=(bookworm trixie forky sid)
readonly built=(3.6 3.7)

readonly root="${CARGO_TARGET_DIR:-target}/etcd"
readonly work="$root/.work"
mkdir -p "$work"
exec 9>"$root/.lock"
flock 9

declare -A reason=([3.4]="no suite of the package mirror gave it" [3.5]="no suite of the package mirror gave it")

say() { echo "etcd.sh: $*" >&2; }

# adopt DIRECTORY ORIGIN: makes the programs in DIRECTORY one installed version, if they run here at all (a newer
# suite may need a newer C library than this system has).
adopt() {
    local from=$1 origin=$2 version
    if ! version=$("$from/etcd" --version 2>"$work/log" | awk '/^etcd Version:/ { print $3 }') || [[ -z $version ]]; then
        say "etcd of $origin does not run here: $(tail -n 1 "$work/log")"
        return 1
    fi
    if [[ ! -d $root/$version ]]; then
        rm -rf "$work/new"
        mkdir -p "$work/new/bin"
        mv "$from"/etcd* "$work/new/bin/"
        echo "$origin" >"$work/new/origin"
        mv "$work/new" "$root/$version"
    fi
}

from_debian() {
    local suite=$1 state="$work/$1"
    if [[ -e $root/.have-debian-$suite ]]; then return; fi
    say "debian $suite"
    rm -rf "$state"
    if ! apt_open "$state" "$suite"; then
        say "debian $suite cannot be read: $(apt_failure "$state")"
    elif ! (cd "$state" && apt-get "${APT[@]}" download etcd-server etcd-client >>log 2>&1); then
        say "debian $suite gives no etcd: $(apt_failure "$state")"
    else
        for package in "$state"/*.deb; do dpkg -x "$package" "$state/unpacked"; done
        if adopt "$state/unpacked/usr/bin" "debian $suite"; then touch "$root/.have-debian-$suite"; fi
    fi
    rm -rf "$state"
}

from_go() {
    local line=$1 source="tests/support/etcd-go/$1" stamp="$root/.have-go-$1" sum needed module
    sum=$(cat "$source"/go.* | sha256sum)
    if [[ -e $stamp && $(<"$stamp") == "$sum" ]]; then return; fi
    if ! command -v go >/dev/null; then
        reason[$line]="no Go toolchain"
        return
    fi
    needed=$(awk '$1 == "go" { print $2 }' "$source/go.mod")
    if ! printf 'go%s\n' "$needed" "$(GOTOOLCHAIN=local go env GOVERSION | sed 's/^go//')" | sort -CV; then
        reason[$line]="needs Go $needed, this is $(GOTOOLCHAIN=local go env GOVERSION)"
        return
    fi
    say "building etcd $line with Go"
    rm -rf "$work/go"
    mkdir -p "$work/go"
    for module in etcd=server etcdctl=etcdctl etcdutl=etcdutl; do
        # Without cgo the programs are static and no C compiler is needed.
        if ! CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS=-mod=readonly go build -C "$source" -buildvcs=false \
            -trimpath -ldflags '-s -w' -o "$(realpath "$work/go")/${module%=*}" "go.etcd.io/etcd/${module#*=}/v3" \
            >"$root/go-$line.log" 2>&1; then
            tail -n 5 "$root/go-$line.log" >&2
            reason[$line]="the Go build failed, see $root/go-$line.log"
            return
        fi
    done
    adopt "$work/go" "$(GOTOOLCHAIN=local go env GOVERSION)" && echo "$sum" >"$stamp"
    rm -rf "$work/go"
}

# Prints the installed versions that begin with $1, oldest first.
installed() { find "$root" -mindepth 1 -maxdepth 1 -type d -name "$1[0-9]*" -printf '%f\n' | sort -V; }

for suite in "${suites[@]}"; do from_debian "$suite"; done
for line in "${built[@]}"; do from_go "$line"; done

for version in $(installed ""); do
    echo "etcd $version $root/$version ($(<"$root/$version/origin"))"
done
for line in 3.4 3.5 "${built[@]}"; do
    if [[ -z $(installed "$line.") ]]; then echo "not available: etcd $line (${reason[$line]:-it does not run here})"; fi
done

default=$(installed 3.5. | tail -n 1)
default=${default:-$(installed "" | grep -v '^3\.4\.' | tail -n 1 || true)}
if [[ -z $default ]]; then
    say "no etcd 3.5 or newer could be had, neither from the package mirror nor with Go; the reasons are above"
    exit 1
fi
ln -sfn "$default" "$root/default"
