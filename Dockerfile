# lameduck as an image: one static binary and nothing else, not even a shell.
#
#   docker build -t lameduck:0.1.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 -t registry.example.com/lameduck:0.1.0 --push .
#   docker build --target sbom --output . .         what it is made of, as CycloneDX, and no image
#
# Each platform is built on itself, or emulated. Any image with cargo, the toolchain that rust-toolchain.toml names, a
# C linker and glibc's static library will do as BASE.
ARG BASE=docker.io/library/rust:1.95.0-slim-bookworm

FROM ${BASE} AS build
# Which platform this is: amd64 or arm64. BuildKit and buildah know.
ARG TARGETARCH=amd64
# Packed relocations save 100 kB; a linker that does not know them leaves them as they are.
# Without --target, build scripts and macros would be linked statically as well, which macros cannot be.
ENV CARGO_INCREMENTAL=0 RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs"
WORKDIR /build

# The dependencies are a layer of their own, which lasts as long as these files do not change.
COPY Cargo.toml Cargo.lock ./
COPY lean-regex lean-regex
COPY pidfd-exit pidfd-exit
RUN set -eu; \
    case "$TARGETARCH" in \
        amd64) echo x86_64-unknown-linux-gnu ;; \
        arm64) echo aarch64-unknown-linux-gnu ;; \
        *) echo "no such platform: $TARGETARCH (amd64 or arm64)" >&2; exit 64 ;; \
    esac > target-triple; \
    mkdir -p src benches/soak benches/siege; \
    printf '//! A stand-in.\nfn main() {}\n' | tee src/main.rs benches/footprint.rs benches/sockets.rs benches/reader.rs benches/soak/main.rs > benches/siege/main.rs; \
    echo '//! A stand-in.' > src/lib.rs; \
    cargo build --locked --release --bin lameduck --target "$(cat target-triple)"

COPY src src
RUN set -eu; \
    touch src/lib.rs src/main.rs; \
    cargo build --locked --release --bin lameduck --target "$(cat target-triple)"; \
    mv "target/$(cat target-triple)/release/lameduck" /lameduck

# The bill of materials is a stage beside the image, not in it. The tool is made for this machine, not linked statically.
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
      org.opencontainers.image.description="A sidecar that lets a pod with long-lived streams leave without cutting anybody off" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /lameduck /lameduck
# A number, so that runAsNonRoot can be checked. In a pod, runAsUser is the main container's uid.
USER 65532:65532
EXPOSE 8089
ENTRYPOINT ["/lameduck"]
