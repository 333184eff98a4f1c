# shellcheck shell=bash disable=SC2329,SC2016,SC1091
# Sourced by tests/systemd and tests/package: a Debian tree that is booted with systemd-nspawn, and checks in it.
#
# FLEETWATT_TEST_TREE  where the bootstrapped tree is kept between runs;
#                      else $XDG_CACHE_HOME/fleetwatt-test, else ~/.cache/…
# KEEP=1               leave the tree of this run in place, to look at

# libnss-systemd: ssh ends at once when its user id has no name, and a dynamic
# user has one only through it.
readonly PACKAGES=systemd,systemd-sysv,dbus,libnss-systemd,openssh-client,openssh-server,procps,sqlite3

n_passed=0
n_failed=0
work=
tree=
cached=
nspawn_pid=
init_pid=

begin() {
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    work=$(mktemp -d "${TMPDIR:-/tmp}/fleetwatt-${0##*/}.XXXXXX")
}

say() { printf '%s: %s\n' "${0##*/}" "$*"; }

# check NAME ACTUAL OPERATOR EXPECTED
check() {
    local name=$1 actual=$2 operator=$3 expected=$4
    if test "$actual" "$operator" "$expected"; then
        n_passed=$((n_passed + 1))
        printf '  ok    %s\n' "$name"
    else
        n_failed=$((n_failed + 1))
        printf '  FAIL  %s: got "%s", wanted %s "%s"\n' "$name" "$actual" "$operator" "$expected"
    fi
}

finish() {
    printf '%d passed, %d failed\n' "$n_passed" "$n_failed"
    [ "$n_failed" -eq 0 ]
    exit
}

pass_over() {
    say "passed over: $*"
    finish
}

clean_up() {
    local status=$?
    trap - EXIT INT TERM
    power_off || true
    if [ -n "$work" ]; then
        if [ "${KEEP:-0}" = 1 ]; then
            say "left in place: $work"
        else
            rm -rf --one-file-system -- "$work"
        fi
    fi
    exit "$status"
}

# Run a program inside the booted tree. machinectl would need the container
# registered with a machined that this machine may not have.
inside() { nsenter --target "$init_pid" --all -- "$@"; }

has_ended() { [ ! -d "/proc/$1" ]; }

power_off() {
    [ -n "$nspawn_pid" ] || return 0
    if [ -n "$init_pid" ] && [ -d "/proc/$init_pid" ]; then
        inside systemctl poweroff >/dev/null 2>&1 || true
        wait_for 30 has_ended "$nspawn_pid" || true
        # With its init gone the kernel ends everything else in the tree.
        [ ! -d "/proc/$init_pid" ] || kill -KILL "$init_pid" 2>/dev/null || true
    fi
    kill -KILL "$nspawn_pid" 2>/dev/null || true
    wait "$nspawn_pid" 2>/dev/null || true
    nspawn_pid=
    init_pid=
}

# wait_for SECONDS COMMAND...: until the command succeeds, or false.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.5
    done
}

# ---------------------------------------------------------------------- the tree

can_boot() {
    [ "$(id -u)" -eq 0 ] || pass_over "the boot needs root"
    local tool
    for tool in systemd-nspawn debootstrap nsenter ssh-keygen apt-get pgrep; do
        command -v "$tool" >/dev/null || pass_over "no $tool"
    done
    command -v sqlite3 >/dev/null || command -v python3 >/dev/null || pass_over "neither sqlite3 nor python3"
}

# The tree that is kept; it is bootstrapped where there is none.
find_tree() {
    local cache=${FLEETWATT_TEST_TREE:-${XDG_CACHE_HOME:-$HOME/.cache}/fleetwatt-test}
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    # Another list of packages is another tree.
    cached=$cache/tree-$(printf '%s' "$suite $PACKAGES" | cksum | cut -d' ' -f1)
    mkdir -p "$cache"
    [ -d "$cached" ] || bootstrap_tree "$cached"
}

copy_tree() { cp -a --reflink=auto "$cached" "$tree"; }

# The tree has the suite and comes from the mirror that this machine's apt uses,
# so that the program built here finds its C library there.
bootstrap_tree() {
    local tree=$1 mirror log=$work/debootstrap.log
    [ -n "$suite" ] || pass_over "/etc/os-release names no suite"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' \
        'Identifier: Packages' "Release: $suite" 'Component: main' 2>/dev/null | head -n 1)
    [ -n "$mirror" ] || pass_over "apt has no source for suite $suite"

    say "bootstrapping $suite into $tree (once)"
    rm -rf --one-file-system -- "$tree.part"
    mkdir -p "$tree.part"
    if ! timeout 480 debootstrap --variant=minbase \
        --include="$PACKAGES" "$suite" "$tree.part" "$mirror" >"$log" 2>&1; then
        rm -rf --one-file-system -- "$tree.part"
        pass_over "debootstrap failed: $(tail -n 1 "$log")"
    fi
    rm -rf "$tree.part"/var/{cache/apt,lib/apt/lists} "$tree.part"/usr/share/{doc,man,locale}
    mv "$tree.part" "$tree"
}

put() { # put MODE FILE, content on stdin
    mkdir -p "$(dirname "$tree/$2")"
    cat >"$tree/$2"
    chmod "$1" "$tree/$2"
}

boot() {
    # --register=no --keep-unit: no machined and no scope, so that it works where
    # systemd is not the machine's init. --private-network: only its own loopback.
    setsid systemd-nspawn --quiet --directory="$tree" --machine="fleetwatt-test-$$" --boot \
        --register=no --keep-unit --private-network --link-journal=no \
        --resolv-conf=off --timezone=off --console=pipe \
        </dev/null >"$work/console.log" 2>&1 &
    nspawn_pid=$!
    wait_for 20 find_init || true
    [ -n "$init_pid" ] || pass_over "systemd-nspawn does not start here: $(tail -n 1 "$work/console.log")"
    wait_for 60 is_booted || pass_over "the tree does not boot here: $(tail -n 1 "$work/console.log")"
    # Some kernels and sandboxes let nobody set a link up in a namespace of one's own.
    wait_for 5 has_loopback || pass_over "the loopback interface does not come up in the tree"
}

# Whether IFF_UP is set (if.h), by the tree's own view.
has_loopback() { [ $(($(inside cat /sys/class/net/lo/flags 2>/dev/null || echo 0) & 1)) -eq 1 ]; }

# True also when there is nothing left to wait for.
find_init() {
    init_pid=$(pgrep -P "$nspawn_pid" | head -n 1 || true)
    [ -n "$init_pid" ] || has_ended "$nspawn_pid"
}

is_booted() {
    case $(inside systemctl is-system-running 2>/dev/null || true) in
        running | degraded) true ;;
        *) false ;;
    esac
}

query() {
    if command -v sqlite3 >/dev/null; then
        sqlite3 "$1" "$2"
    else
        python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])' "$1" "$2"
    fi
}
