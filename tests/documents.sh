# shellcheck shell=bash disable=SC2154
# Sourced by tests/systemd: every command that README.md and systemd/README.md show
# is run, in their order, in a booted Debian tree that has what they ask for.
#
# A fenced block marked `sh` is one script. What cannot run here is on the list
# below, with its reason; an entry that no document has any more is a failure.

readonly EXCUSED=(
    'apt-get install gcc sqlite3|the tree has no network; sqlite3 is in it, and the program is built outside'
    'apt-get install gcc |the same'
    'cargo install --path . --locked|needs a Rust toolchain and its registry; the built program is in its place'
    'cargo build --release|the same'
    'install -m 0755 target/release/fleetwatt /usr/local/bin/fleetwatt|the same'
    'cargo install cargo-deb --locked|the same'
    'debian/build-assets|tests/package does this and the next two'
    'cargo deb --no-build --strip|the same'
    'apt-get install ./target/debian/|the same'
    'tests/run|these are the tests'
    'ssh-copy-id |asks for the password of a host; the test puts the key there'
    'fleetwatt solix login|a real login at the vendor'
    'fleetwatt solix devices|needs that login'
    'fleetwatt solix listen|needs that login'
    'journalctl -fu fleetwatt.service|follows until Ctrl-C'
)

# The blocks of a document, each behind a line of its own that begins with \f.
blocks_of() {
    awk '/^```sh$/ { inside = 1; print "\f" FILENAME ":" NR; next } /^```$/ { inside = 0 } inside' "$1"
}

# The block on standard input as it can run here: without what is excused, against
# the tree's own node, and what would never end for a few seconds.
runnable() {
    local line entry
    while IFS= read -r line; do
        for entry in "${EXCUSED[@]}"; do
            if [[ $line == "${entry%%|*}"* ]]; then
                printf '%s\n' "${entry%%|*}" >>"$work/excused"
                continue 2
            fi
        done
        line=${line//cargo run --release -- /fleetwatt }
        line=${line//192.168.132.222/$ADDRESS}
        line=${line//\/NAME\//\/monitor\/}
        # A month takes a program that is not optimized longer than a block may.
        [ "$line" != "fleetwatt demo history" ] || line="fleetwatt demo history --days 4"
        [ "$line" != "fleetwatt run" ] || line="timeout --signal=TERM 5 fleetwatt run || [ \$? = 124 ]"
        printf '%s\n' "$line"
    done
}

# Runs a block as root in the checkout. What fleetwatt ends with when hosts or the
# database are away (1, 3, 4) is an answer; a call that it does not know (2) is not,
# and neither is a report of the played days without energy.
run_block() {
    inside env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        timeout 60 bash -euc 'cd /srv/fleetwatt
fleetwatt() {
    command fleetwatt "$@" || case "$?:$*" in 1:report*fleetwatt-demo*) return 1 ;; [134]:*) ;; *) return 1 ;; esac
}
'"$1" </dev/null >"$work/block.log" 2>&1
}

# A tree as a newcomer's machine would be, with a checkout and the inventory that
# the README has them write.
furnish_checkout() {
    local program=$1
    install -m 0755 "$program" "$tree/usr/local/bin/fleetwatt"
    mkdir -p "$tree/srv/fleetwatt"
    cp -r inventory fixtures systemd "$tree/srv/fleetwatt/"
    awk '/^# inventory\/fleet.toml$/ { inside = 1 } /^```$/ { inside = 0 } inside' README.md |
        put 0644 srv/fleetwatt/inventory/fleet.toml
    chroot "$tree" useradd --create-home --shell /bin/sh monitor
    # The GPU is this machine's own here, and in the sandbox nothing can count its calls.
    rm "$tree/etc/fake-nvidia-smi.calls"
    # Where the documents say 192.168.132.222, on ssh's own port.
    sed -i 's/^ListenAddress .*/ListenAddress '"$ADDRESS"':22/' "$tree/etc/fleetwatt-test-sshd.conf"
}

check_documents() {
    local document block place text script
    : >"$work/excused"
    for document in README.md systemd/README.md; do
        while IFS= read -r -d $'\f' block; do
            [ -n "$block" ] || continue
            place=${block%%$'\n'*}
            text=${block#*$'\n'}
            script=$(runnable <<<"$text")
            [ -n "${script//[[:space:]]/}" ] || continue
            check "$place runs" "$(run_block "$script" && echo yes || tail -n 5 "$work/block.log")" = yes
        done < <(blocks_of "$document"; printf '\f')
    done
    check "each excuse has its command" \
        "$(for entry in "${EXCUSED[@]}"; do grep -qxF -- "${entry%%|*}" "$work/excused" || echo "${entry%%|*}"; done)" = ""
}
