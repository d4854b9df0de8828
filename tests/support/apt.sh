# shellcheck shell=bash
# A private view of the package mirror that this system already uses: its own lists, state and cache, so that
# neither root nor a change to the system's package sources is needed. At the end, the other way: packages for the
# system itself. Sourced by the scripts that need either.

# Prints the archives that may be the distribution's main one. Third parties name their suites alike
# ("bookworm main", "stable main"); the keyring below is what turns those away.
apt_mirrors() {
    local own
    own=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
    # shellcheck disable=SC2016 # the fields are apt's
    apt-get indextargets --no-release-info --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk -v own="$own" '$2 == "main" && ($1 == own || $1 ~ /^(stable|testing|unstable|sid)$/) && !seen[$3]++ { print $3 }'
}

# apt_open STATE SUITE: reads that suite's index into STATE and sets the array APT, the options for every apt
# command that follows. Fails, with the reason in STATE/log, when no mirror has the suite.
apt_open() {
    local state=$1 suite=$2 keyring trust="" mirror
    for keyring in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
        if [[ -f $keyring ]]; then trust="[signed-by=$keyring] "; fi
    done
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    : >"$state/log"
    state=$(realpath "$state")
    # The sandbox user could not read a private directory; the hooks and the extra indexes are the system's business.
    APT=(-q -o "Dir::State=$state" -o "Dir::Cache=$state/cache"
        -o "Dir::Etc::SourceList=$state/sources.list" -o "Dir::Etc::SourceParts=-"
        -o APT::Sandbox::User=root -o Debug::NoLocking=true
        -o APT::Update::Post-Invoke= -o APT::Update::Post-Invoke-Success=
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
        -o Acquire::Retries=3
        # A mirror that lags behind is as good for a test.
        -o Acquire::Check-Valid-Until=false)
    while read -r mirror; do
        echo "deb $trust$mirror $suite main" >"$state/sources.list"
        # An unreachable mirror is only a warning to apt-get update; the index itself is the proof.
        if apt-get "${APT[@]}" update >>"$state/log" 2>&1 &&
            [[ -n $(apt-cache "${APT[@]}" madison dpkg 2>>"$state/log") ]]; then
            return 0
        fi
    done < <(apt_mirrors)
    return 1
}

# apt_failure STATE: why a command that logged to STATE/log failed, in a line.
apt_failure() { grep -m 1 -E '^(E|W):' "$1/log" || tail -n 1 "$1/log"; }

# install_packages PACKAGE…: from the system's own sources, of which a broken foreign one does no harm.
install_packages() {
    local as_root=()
    if ((EUID != 0)); then
        if ! command -v sudo >/dev/null; then
            echo "apt.sh: not root, no sudo, and these packages are missing: $*" >&2
            return 1
        fi
        as_root=(sudo)
    fi
    "${as_root[@]}" apt-get -q update || true
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "$@"
}
