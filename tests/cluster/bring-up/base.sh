#!/usr/bin/env bash
# A stand-in for the Dockerfile's base where no image registry can be reached: this machine's own Rust toolchain, C
# linker and libc, file by file, as an image.
#
#   base.sh NAME DIRECTORY     (buildah is told by $BUILDAH how to be called)
set -euo pipefail
name=$1 root=$2/base

packages() { # what these need, as far as it is installed
    apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
        --no-enhances dash coreutils findutils ca-certificates gcc libc6-dev | grep -E '^[a-z0-9]' | sort -u
}

files() { # of those packages; /bin and the like lie in /usr
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
