# The usual round: format, lint, test.
default: fmt lint test

fmt:
    cargo fmt --all

lint:
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

test:
    cargo test

# A drain as it happens.
demo:
    cargo run --example demo

# The size of the binary, and its memory idle, with callers, and over large pages.
footprint:
    cargo bench --bench footprint

# Whether it grows with time; 3600 for the whole hour.
soak seconds="60":
    LAMEDUCK_SOAK_SECONDS={{seconds}} cargo bench --bench soak

# How fast probes are answered while the open port is besieged.
siege:
    cargo bench --bench siege

# Throughput of the metrics page parser, compared with a bare line scan and with prometheus-parse.
bench:
    cargo bench --bench exposition

# Many random histories of the drain machine.
histories count="1000000":
    LAMEDUCK_HISTORIES={{count}} cargo test --release --test machine_properties

# The scenarios on a real Kubernetes; needs root. `just cluster delete` runs those with that word in their names.
cluster *words:
    tests/cluster/run {{words}}

deny:
    cargo deny check

# What the image's binary is made of, as CycloneDX in target/sbom, held against `cargo tree`.
sbom *triple:
    tools/sbom {{triple}}

# Drains under every combination of faults.
faults drains="1152":
    LAMEDUCK_DRAINS={{drains}} cargo test --test faults

# Each mistake that a drain must never make, and the tests that see it.
mistakes *word:
    tests/mistakes/run {{word}}

fuzz seconds="20":
    fuzz/run all {{seconds}}
