#!/usr/bin/env bash
# Builds a base image for the Dockerfile without an image registry, from this machine's own Rust toolchain, C linker and
# libc.
#
#   base.sh NAME DIRECTORY     $BUILDAH is the buildah command with its options
set -euo pipefail
name=$1 root=$2/base

packages() { # prints these packages and their installed dependencies
    apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
        --no-enhances dash coreutils findutils ca-certificates gcc libc6-dev | grep -E '^[a-z0-9]' | sort -u
}

files() { # prints the files of those packages; /bin, /lib and the like are links into /usr
    packages | { xargs dpkg-query --listfiles 2>/dev/null || true; } | grep -vE '^/(\.|usr/share/(doc|man|locale|info|perl))' |
        sed -E 's,^/(bin|sbin|lib|lib64)(/|$),/usr/\1\2,' | sort -u |
        while read -r file; do [ ! -e "$file" ] || echo "${file#/}"; done
}

mkdir -p "$root/tmp" "$root/usr/local/rust/lib"
ln -s usr/bin usr/sbin usr/lib usr/lib64 "$root"
files | tar --create --directory / --no-recursion --files-from - | tar --extract --directory "$root"
ln -s gcc "$root/usr/bin/cc"
tar --create --directory /etc ssl alternatives passwd group | tar --extract --directory "$root/etc"

sysroot=$(rustc --print sysroot)
cp -a "$sysroot"/bin "$root/usr/local/rust/"
cp -a "$sysroot"/lib/*.so* "$root/usr/local/rust/lib/"
mkdir -p "$root/usr/local/rust/lib/rustlib"
cp -a "$sysroot/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')" "$root/usr/local/rust/lib/rustlib/"

container=$($BUILDAH from scratch)
$BUILDAH add --quiet "$container" "$root" / >/dev/null
$BUILDAH config --env PATH=/usr/local/rust/bin:/usr/bin:/bin --env CARGO_HOME=/usr/local/cargo "$container"
$BUILDAH commit --quiet --rm "$container" "$name" >/dev/null
rm -rf "$root"
