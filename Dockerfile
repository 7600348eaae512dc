# The lameduck image: one static binary and nothing else, not even a shell.
#
#   docker build -t lameduck:0.1.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 -t registry.example.com/lameduck:0.1.0 --push .
#   docker build --target sbom --output . .         writes the CycloneDX bill of materials; builds no image
#
# Each platform is built natively or under emulation. BASE can be any image with cargo, the toolchain that
# rust-toolchain.toml names, a C linker and glibc's static library.
ARG BASE=docker.io/library/rust:1.95.0-slim-bookworm

# The workspace reduced to what cargo needs to build the dependencies: the manifests, the lockfile, and an empty stub for
# each crate root. It changes only with the manifests, so the dependency layer below stays cached when code changes.
FROM ${BASE} AS skeleton
WORKDIR /skeleton
COPY . .
RUN set -eu; \
    find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -path '*/src/lib.rs' ! -path '*/src/main.rs' -delete; \
    find . -type d -empty -delete; \
    for root in $(find . -name '*.rs'); do echo 'fn main() {}' > "$root"; done; \
    # Cargo looks for the files of the tests and benchmarks that Cargo.toml names, although it does not build them.
    dir=; \
    while read -r key _ value; do \
        case $key in \
            '[[bench]]') dir=benches ;; \
            '[[test]]') dir=tests ;; \
            '['*) dir= ;; \
            name) if [ "$dir" ]; then name=${value#?}; mkdir -p $dir; echo 'fn main() {}' > "$dir/${name%?}.rs"; fi ;; \
        esac; \
    done < Cargo.toml

FROM ${BASE} AS build
# The platform to build for: amd64 or arm64. BuildKit and buildah set it.
ARG TARGETARCH=amd64
# Packed relocations save 100 kB; a linker without support for them leaves the relocations unpacked.
# --target keeps crt-static away from build scripts and macros: macros cannot be linked statically.
ENV CARGO_INCREMENTAL=0 RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs"
WORKDIR /build

COPY --from=skeleton /skeleton .
RUN set -eu; \
    case "$TARGETARCH" in \
        amd64) echo x86_64-unknown-linux-gnu ;; \
        arm64) echo aarch64-unknown-linux-gnu ;; \
        *) echo "unsupported platform: $TARGETARCH (supported: amd64, arm64)" >&2; exit 64 ;; \
    esac > target-triple; \
    cargo build --locked --release --bin lameduck --target "$(cat target-triple)"

COPY crates crates
COPY src src
# `touch` makes the sources newer than the stubs' build products.
RUN set -eu; \
    find crates src -name '*.rs' -exec touch {} +; \
    cargo build --locked --release --bin lameduck --target "$(cat target-triple)"; \
    mv "target/$(cat target-triple)/release/lameduck" /lameduck

# The bill of materials is a stage of its own, not part of the image. The tool runs on the build machine and is not
# linked statically.
FROM build AS bill
RUN RUSTFLAGS= cargo install --locked --root /usr/local cargo-cyclonedx@0.5.9
COPY tools tools
ARG SOURCE_DATE_EPOCH
RUN tools/sbom "$(cat target-triple)"

FROM scratch AS sbom
COPY --from=bill /build/target/sbom/ /

FROM scratch
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="lameduck" \
      org.opencontainers.image.description="A sidecar for graceful shutdown of Kubernetes pods with long-lived streams" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /lameduck /lameduck
# Numeric, so that Kubernetes can check runAsNonRoot. In a pod, set runAsUser to the main container's uid.
USER 65532:65532
EXPOSE 8089
ENTRYPOINT ["/lameduck"]
