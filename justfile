# Formats, lints and tests.
default: fmt lint test

# Formats all code.
fmt:
    cargo fmt --all

# Runs clippy and builds the documentation; warnings are errors.
lint:
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Runs the tests that need only seconds: unit tests, and those of the drain machine, the parsers and `inject`.
test-fast:
    cargo test --workspace --lib
    cargo test --test integration -- machine_scripts:: parsers:: inject:: simulations::

# Runs all tests, also those with real processes, and 40 drains of the fault matrix.
test:
    cargo test

# Runs everything that a change must pass.
ci:
    .ci/run

# Shows a drain as it happens.
demo:
    cargo run --example demo

# Measures the size of the binary, and its memory when idle, with callers and with large pages.
footprint:
    cargo bench --bench footprint

# Checks that the sidecar does not grow over time; 3600 runs a whole hour.
soak seconds="60":
    LAMEDUCK_SOAK_SECONDS={{seconds}} cargo bench --bench soak

# Measures how fast probes are answered while the open port is overloaded.
overload:
    cargo bench --bench overload

# Measures what a poll costs, next to a loop in Go. `just poll --all` measures every combination.
poll *options:
    cargo bench --bench poll -- {{options}}

# Throughput of the metrics page parser, compared with a bare line scan and with prometheus-parse.
bench:
    cargo bench --bench exposition

# Simulates many random drains.
simulations count="1000000":
    LAMEDUCK_SIMULATIONS={{count}} cargo test --release --test integration -- simulations::

# Runs drains under every combination of faults.
faults drains="1152":
    LAMEDUCK_DRAINS={{drains}} cargo test --test faults

# Checks that the tests catch each seeded bug. `just seeded-bugs token` tries those with that word in their names.
seeded-bugs *word:
    tests/seeded-bugs/run {{word}}

# Mutates the drain machine or the parsers, and lists the mutants that no test catches. Needs cargo-mutants.
mutation crate="machine" *options:
    tests/mutation/run {{crate}} {{options}}

# Fuzzes each target for this many seconds.
fuzz seconds="20":
    fuzz/run all {{seconds}}

# Runs the files of run-examples with real Docker, systemd and HAProxy (root). `just run-examples docker` runs the scenarios
# with that word in their names.
run-examples *words:
    tests/run-examples/run {{words}}

# Runs real Helm and kustomize with `inject`. `just gitops helm` runs the scenarios with that word in their names.
gitops *words:
    tests/gitops/run {{words}}

# Drains real servers of Node, Python, Go and Java. `just servers node` runs those with that word in their names.
servers *words:
    tests/servers/run {{words}}

# Runs `lameduck run` with real Docker, systemd and HAProxy; needs root. `just run-examples docker` runs those with that
# word in their names.
run-examples *words:
    tests/run-examples/run {{words}}

# Runs the scenarios on a real Kubernetes; needs root. `just cluster delete` runs those with that word in their names.
cluster *words:
    tests/cluster/run {{words}}

# Checks licenses, sources and advisories of all dependencies; needs cargo-deny and the network.
deny:
    cargo deny check

# Writes the bill of materials (CycloneDX) to target/sbom, and compares it with `cargo tree`.
sbom *triple:
    tools/sbom {{triple}}

# Writes docs/cli.md from the definition of the command line.
cli-reference:
    cargo run --package lameduck-cli-reference -- --write-docs

# Builds the documentation as a book: target/book/html/index.html.
book:
    tools/book

# Checks the GitHub workflows; needs Go and Python.
lint-workflows:
    tools/lint-workflows
