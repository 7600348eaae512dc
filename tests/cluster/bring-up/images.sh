#!/usr/bin/env bash
# Builds the images: lameduck from the Dockerfile, the simulated engine, and the pause container.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../../.."
parts=$LAMEDUCK_CLUSTER_PARTS
store=$parts/buildah
export BUILDAH="buildah --root $store/root --runroot $store/run --storage-driver vfs"
mkdir -p "$parts/images" "$store"

have() { $BUILDAH images --quiet "$1" >/dev/null 2>&1; }

save() { # NAME: writes the image to a file that containerd can import
    rm -f "$parts/images/$1.tar"
    $BUILDAH push --quiet "localhost/$1:test" "oci-archive:$parts/images/$1.tar:localhost/$1:test"
}

one_file() { # NAME FILE USER PATH...: builds an image with one static program at these paths; the first is started
    local name=$1 file=$2 user=$3 path container
    shift 3
    container=$($BUILDAH from scratch)
    for path; do $BUILDAH copy --quiet "$container" "$file" "$path" >/dev/null; done
    $BUILDAH config --entrypoint "[\"$1\"]" --user "$user" "$container"
    $BUILDAH commit --quiet --rm "$container" "localhost/$name:test" >/dev/null
    save "$name"
}

unchanged() { # NAME PATH...: whether the image is newer than all of these
    local name=$1
    shift
    [ -e "$parts/images/$name.tar" ] && [ -z "$(find "$@" -newer "$parts/images/$name.tar" -print -quit)" ]
}

lameduck() {
    unchanged lameduck Dockerfile Cargo.toml Cargo.lock .dockerignore src crates && return
    have localhost/rust-base || "$here/base.sh" localhost/rust-base "$store"
    local registry="${CARGO_HOME:-$HOME/.cargo}/registry"
    mkdir -p "$registry"
    $BUILDAH bud --quiet --isolation chroot --build-arg BASE=localhost/rust-base \
        --volume "$registry:/usr/local/cargo/registry" --tag localhost/lameduck:test . > "$parts/dockerfile.log" 2>&1 ||
        { cat "$parts/dockerfile.log" >&2; return 1; }
    save lameduck
}

# The simulated Engine and API have the real programs' names, so that lameduck's presets find them. The client runs
# outside the pods.
engine() {
    local triple
    triple=$(rustc -vV | sed -n 's/^host: //p')
    RUSTFLAGS="-C target-feature=+crt-static" CARGO_PROFILE_DEV_DEBUG=false CARGO_PROFILE_DEV_STRIP=symbols \
        cargo build --quiet --target "$triple" --target-dir "$parts/static" --example engine_sim --example engine_client
    cp "$parts/static/$triple/debug/examples/engine_client" "$parts/bin/"
    one_file engine "$parts/static/$triple/debug/examples/engine_sim" 1000:1000 /bin/impeller /bin/stem
}

pause() {
    cc -static -O2 -s -o "$parts/bin/pause" "$here/pause.c"
    one_file pause "$parts/bin/pause" 0:0 /pause
}

pause
engine
lameduck
size=$($BUILDAH images --json localhost/lameduck:test | sed -nE 's/.*"size": "(.*)".*/\1/p')
echo "image: lameduck is $size unpacked"
