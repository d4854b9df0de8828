#!/usr/bin/env bash
# Puts programs that only the tests and benches use into <build directory>/tools, without installing anything.
#
#   tests/support/tools.sh [TOOL…]        all when none is named
#
# python     tools/python/bin/python, an environment with etcd3, the etcd client that speaks gRPC by grpcio: a second
#            implementation of gRPC beside Go's and ours; with etcd3gw, which speaks to the JSON gateway; with
#            Kubernetes' schemas, and a parser of PromQL
# kustomize  tools/kustomize/bin/kustomize, built by a Go toolchain
# haproxy    tools/haproxy/bin/haproxy, which the benches compare with
# client-go, client-java, client-node, client-rust
#            tools/client-go/bin/client and so on: clients of etcd that tests/clients drives, each built by its own
#            toolchain from tests/support/clients with the versions that are pinned there
#
# Prints one line a tool, "python target/tools/python/bin/python (…)", or "not available: haproxy (…)". Fails when
# one of those asked for could not be had. A second run only prints.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/support/apt.sh

# etcd3's generated code predates protobuf 4. grpcio is pinned because its C core decides the wire behaviour.
readonly python_packages=(etcd3==0.12.0 grpcio==1.85.1 protobuf==3.20.3 six==1.17.0 tenacity==9.2.1 etcd3gw==2.7.0
    kubernetes-validate==1.37.0 promql-parser==0.12.0)

readonly root="${CARGO_TARGET_DIR:-target}/tools"
mkdir -p "$root"
exec 9>"$root/.lock"
flock 9

say() { echo "tools.sh: $*" >&2; }

not_available() {
    echo "not available: $1 ($2)"
    missing=1
}

get_python() {
    local home="$root/python" stamp="$root/python/.packages"
    if ! [[ -e $stamp && $(<"$stamp") == "${python_packages[*]}" ]]; then
        say "python environment"
        rm -rf "$home"
        if ! python3 -m venv "$home" >"$root/python.log" 2>&1; then
            tail -n 5 "$root/python.log" >&2
            not_available python "no python3 with venv, see $root/python.log"
            return
        fi
        if ! "$home/bin/python" -m pip install -q --disable-pip-version-check "${python_packages[@]}" >>"$root/python.log" 2>&1 ||
            ! "$home/bin/python" -c 'import etcd3, etcd3gw, kubernetes_validate, promql_parser' >>"$root/python.log" 2>&1; then
            tail -n 5 "$root/python.log" >&2
            not_available python "its packages cannot be installed, see $root/python.log"
            return
        fi
        echo "${python_packages[*]}" >"$stamp"
    fi
    echo "python $home/bin/python (${python_packages[0]}, ${python_packages[1]})"
}

get_kustomize() {
    local home="$root/kustomize" source=tests/support/kustomize-go stamp="$root/kustomize/.sum" sum
    sum=$(cat "$source"/go.* | sha256sum)
    if ! [[ -e $stamp && $(<"$stamp") == "$sum" ]]; then
        if ! command -v go >/dev/null; then
            not_available kustomize "no Go toolchain"
            return
        fi
        say "building kustomize with Go"
        rm -rf "$home"
        mkdir -p "$home/bin"
        if ! CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS=-mod=readonly go build -C "$source" -buildvcs=false \
            -trimpath -ldflags '-s -w' -o "$(realpath "$home")/bin/kustomize" sigs.k8s.io/kustomize/kustomize/v5 \
            >"$root/kustomize.log" 2>&1; then
            tail -n 5 "$root/kustomize.log" >&2
            rm -rf "$home"
            not_available kustomize "the Go build failed, see $root/kustomize.log"
            return
        fi
        echo "$sum" >"$stamp"
    fi
    echo "kustomize $home/bin/kustomize ($(awk '$1 == "sigs.k8s.io/kustomize/kustomize/v5" { print $2 }' "$source/go.mod"))"
}

get_haproxy() {
    local home="$root/haproxy" work="$root/.haproxy" suite package
    if [[ ! -d $home ]]; then
        say "haproxy"
        suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
        rm -rf "$work"
        # This way apt names exactly the libraries that the system lacks.
        if ! apt_open "$work" "$suite" ||
            ! apt-get "${APT[@]}" -y --no-install-recommends --download-only install haproxy >>"$work/log" 2>&1; then
            not_available haproxy "$(apt_failure "$work")"
            return
        fi
        mkdir -p "$work/home/bin"
        for package in "$work"/cache/archives/*.deb; do dpkg -x "$package" "$work/home"; done
        cat >"$work/home/bin/haproxy" <<'EOF'
#!/bin/sh
home=$(dirname "$(dirname "$(realpath "$0")")")
for directory in "$home"/usr/lib/*-linux-* "$home"/lib/*-linux-*; do
    LD_LIBRARY_PATH="$directory${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
done
export LD_LIBRARY_PATH
exec "$home/usr/sbin/haproxy" "$@"
EOF
        chmod +x "$work/home/bin/haproxy"
        if ! "$work/home/bin/haproxy" -v >>"$work/log" 2>&1; then
            not_available haproxy "it does not run here: $(tail -n 1 "$work/log")"
            return
        fi
        mv "$work/home" "$home"
        rm -rf "$work"
    fi
    echo "haproxy $home/bin/haproxy ($("$home/bin/haproxy" -v | awk 'NR == 1 { print $3 }'))"
}

# client NAME TOOLCHAIN BUILD: the program of one language. The function BUILD makes bin/client in $home, which is empty,
# from $source; TOOLCHAIN is what it needs. After a change of versions, in that folder: "go mod tidy", "npm install
# --package-lock-only", "cargo generate-lockfile"; Maven takes what the pinned packages ask for.
client() {
    local name=$1 toolchain=$2 build=$3 home source stamp sum program
    home="$root/client-$name" source="tests/support/clients/$name" stamp="$root/client-$name/.sum"
    sum=$(find "$source" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)
    if ! [[ -e $stamp && $(<"$stamp") == "$sum" ]]; then
        for program in $toolchain; do
            if ! command -v "$program" >/dev/null; then
                not_available "client-$name" "no $program"
                return
            fi
        done
        say "building client-$name"
        rm -rf "$home"
        mkdir -p "$home/bin"
        home=$(realpath "$home")
        if ! "$build" >"$root/client-$name.log" 2>&1; then
            tail -n 5 "$root/client-$name.log" >&2
            rm -rf "$home"
            not_available "client-$name" "the build failed, see $root/client-$name.log"
            return
        fi
        echo "$sum" >"$stamp"
    fi
    echo "client-$name $root/client-$name/bin/client ($(client_version "$source"))"
}

# The version of the client that is pinned in these sources.
client_version() {
    case $1 in
        */go) awk '$1 == "go.etcd.io/etcd/client/v3" { print $2 }' "$1/go.mod" ;;
        */java) grep -A 1 '<artifactId>jetcd-core<' "$1/pom.xml" | sed -n 's/.*<version>\(.*\)<.*/\1/p' ;;
        */node) sed -n 's/.*"etcd3": "\(.*\)".*/\1/p' "$1/package.json" ;;
        */rust) sed -n 's/^etcd-client = .*version = "=\([^"]*\)".*/\1/p' "$1/Cargo.toml" ;;
    esac
}

# launcher COMMAND…: makes that command the program.
launcher() {
    printf '#!/bin/sh\nexec' >"$home/bin/client"
    printf ' %s' "$@" '"$@"' >>"$home/bin/client"
    chmod +x "$home/bin/client"
}

build_go() {
    CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS=-mod=readonly go build -C "$source" -buildvcs=false -trimpath \
        -o "$home/bin/client" .
}

build_java() {
    # These goals alone, so that no plugin comes in whose version is not pinned.
    mvn -B -f "$source/pom.xml" "-Dclient.home=$home" compiler:compile dependency:copy-dependencies &&
        launcher java -cp "'$home/classes:$home/lib/*'" Main
}

build_node() {
    cp "$source"/* "$home" &&
        (cd "$home" && npm ci --ignore-scripts --no-audit --no-fund) &&
        launcher node "'$home/main.js'"
}

build_rust() {
    # etcd-client generates its code by protoc, for which this is a replacement in Rust.
    cargo install --locked --quiet --root "$home/protox" --features bin protox@0.10.0 &&
        PROTOC="$home/protox/bin/protox" cargo build --locked --quiet --manifest-path "$source/Cargo.toml" \
            --target-dir "$home/target" &&
        cp "$home/target/debug/client-for-tests" "$home/bin/client" &&
        rm -rf "$home/target" "$home/protox"
}

missing=0
if (($# == 0)); then set -- python kustomize haproxy client-{go,java,node,rust}; fi
for tool in "$@"; do
    case $tool in
        python) get_python ;;
        kustomize) get_kustomize ;;
        haproxy) get_haproxy ;;
        client-go) client go go build_go ;;
        client-java) client java "java mvn" build_java ;;
        client-node) client node "node npm" build_node ;;
        client-rust) client rust "cargo cc" build_rust ;;
        *)
            say "no such tool: $tool"
            exit 2
            ;;
    esac
done
exit "$missing"
