#!/bin/sh
# scripts/locks.sh renew   upgrade locks/*.txt to the newest versions that locks/*.in allow
# scripts/locks.sh check   check that locks/*.txt match locks/*.in and pyproject.toml
# The locks hold names, versions and hashes, but no index addresses.
set -eu
unset PYTHONDONTWRITEBYTECODE VIRTUAL_ENV
export UV_PYTHON_DOWNLOADS=never
cd "$(dirname "$0")/.."
sh scripts/setup.sh uv
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

compile() { # name output
    case $1 in
    dev) inputs="--group dev pyproject.toml sandbox/pyproject.toml" ;;
    *) inputs= ;;
    esac
    # shellcheck disable=SC2086
    .venvs/uv/bin/uv pip compile --quiet --universal --python-version 3.10 \
        --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
        --output-file "$2" $inputs "locks/$1.in" >/dev/null
}

names=$(for input in locks/*.in; do basename "$input" .in; done)
case ${1:-} in
renew) ;;
check) cp locks/*.txt "$scratch" ;; # keeps pinned versions that still match
*)
    echo "usage: scripts/locks.sh renew|check" >&2
    exit 2
    ;;
esac
# In parallel: nearly all of the time is spent waiting for responses.
for name in $names; do
    { compile "$name" "$scratch/$name.txt" || touch "$scratch/$name.failed"; } &
done
wait
stale=
for name in $names; do
    if [ -e "$scratch/$name.failed" ]; then
        echo "locks/$name.in could not be resolved: see above" >&2
        exit 1
    elif [ "$1" = renew ]; then
        cp "$scratch/$name.txt" "locks/$name.txt"
    elif ! cmp -s "locks/$name.txt" "$scratch/$name.txt"; then
        stale="$stale locks/$name.txt"
    fi
done
if [ -n "$stale" ]; then
    echo "out of date (run make locks):$stale" >&2
    exit 1
fi
