# Shortcuts for `just`. Each is one command that also works without it; CONTRIBUTING.md explains them.

# List the recipes.
default:
    @just --list

# Fast lane before a commit: formatting, dependency rules, clippy, unit tests.
check:
    .ci/check

# Everything that must hold before a change lands. Debian, as root.
ci:
    bash .ci/run

# Run fuzz targets: `just fuzz` lists them, `just fuzz prove 300` runs one for five minutes.
fuzz *args:
    fuzz/run {{args}}

# Measure the server beside a bare axum handler: `just bench --quick` takes twenty seconds.
bench *args: _release
    cargo run --release -p hookward-benches -- {{args}}

# Build the API documentation, with broken links as errors.
docs:
    RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps

_release:
    cargo build --release
