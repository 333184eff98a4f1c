# Short names for the commands of CONTRIBUTING.md (https://just.systems). Each is one line of shell.

# The loop for a change: no server, no root, less than a minute once built.
fast:
    tests/run --fast

# The compiler's and the linter's opinion.
check:
    cargo clippy --locked --all-targets -- -D warnings

# All tests, or those whose names hold the words.
test *words:
    tests/run {{words}}

# Every parser of foreign bytes, as long as you like.
fuzz *args:
    tests/fuzz/run {{args}}

# Speed and memory beside other programs, for N hosts.
bench *args:
    tests/bench/run {{args}}

# One poll of the demo fleet, which needs no GPU.
demo:
    cargo run --release -- poll --inventory inventory/demo.toml --dry-run
