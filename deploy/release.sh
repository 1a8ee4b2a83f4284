#!/usr/bin/env bash
# Makes a release: for each target an archive with the program, its completions,
# its man page and what deploy/ has for its system, and SHA256SUMS over all.
#
#   deploy/release.sh            into dist/
#
# TARGETS   "os/arch" separated by blanks
# OUT       the folder to write into; it must be empty or not be there
# SOURCE_DATE_EPOCH   the time in the archives; the last commit's otherwise
#
# Two runs at one commit, with one version of Go, give the same bytes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

GO=${GO:-go}
TARGETS=${TARGETS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64}
OUT=${OUT:-dist}
MOST=${MOST:-67108864} # bytes of one archive

fail() { echo "release: $*" >&2; exit 1; }
tar --version 2>/dev/null | grep -q 'GNU tar' || fail "GNU tar is needed, for archives that are the same each time"
[ -z "$(ls -A "$OUT" 2>/dev/null)" ] || fail "$OUT is not empty; remove it, or name another folder with OUT"
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

export CGO_ENABLED=0
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null) || fail "SOURCE_DATE_EPOCH is not set, and this is no git checkout"
fi
build() { # os arch file
  GOOS=$1 GOARCH=$2 "$GO" build -trimpath -ldflags="-s -w" -o "$3" ./cmd/starling
}

# What the program says of itself is taken from one that runs here.
build "$("$GO" env GOHOSTOS)" "$("$GO" env GOHOSTARCH)" "$work/host"
version=$("$work/host" version --json | sed -n 's/.*"version": *"\([^"]*\)".*/\1/p' | head -1)
[ -n "$version" ] || fail "the program does not tell its version"
shared=$work/shared
mkdir -p "$shared/completions" "$shared/man/man1"
"$work/host" completion bash >"$shared/completions/starling.bash"
"$work/host" completion zsh >"$shared/completions/_starling"
"$work/host" completion fish >"$shared/completions/starling.fish"
"$work/host" docs man "$shared/man/man1"
"$work/host" config docs >"$shared/config.sample.toml"
cp LICENSE README.md CHANGELOG.md "$shared/"

for target in $TARGETS; do
  os=${target%/*} arch=${target#*/}
  name=starling-$version-$os-$arch
  dir=$work/$name
  mkdir "$dir"
  cp -R "$shared/." "$dir/"
  if [ "$os" = linux ]; then
    mkdir "$dir/systemd"
    cp deploy/systemd/* "$dir/systemd/"
  fi
  if [ "$target" = "$("$GO" env GOHOSTOS)/$("$GO" env GOHOSTARCH)" ]; then
    cp "$work/host" "$dir/starling"
  else
    build "$os" "$arch" "$dir/starling"
  fi
  chmod -R u=rwX,go=rX "$dir"
  tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=ustar -C "$work" -cf - "$name" |
    gzip -n -9 >"$OUT/$name.tar.gz"
  bytes=$(wc -c <"$OUT/$name.tar.gz")
  [ "$bytes" -le "$MOST" ] || fail "$name.tar.gz has $bytes bytes, want at most $MOST"
  echo "$name.tar.gz $bytes bytes"
done
(cd "$OUT" && sha256sum -- *.tar.gz >SHA256SUMS)
echo "SHA256SUMS"
