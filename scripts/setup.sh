#!/bin/sh
# Installs environments:  scripts/setup.sh dev [meltano] [postgres] [...]
# `dev` is .venv and `docs` .venvs/docs, from uv.lock; any other .venvs/<group> is a dependency group
# of tools/, from tools/uv.lock.
# Our own packages are built with the locked hatchling of `dev`.
# PYTHON chooses the interpreter. What is installed already takes a tenth of a second.
set -eu
unset PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV
export UV_PYTHON_DOWNLOADS=never
cd "$(dirname "$0")/.."

find_python() {
    for name in ${PYTHON:-python3.13 python3.12 python3.11 python3 python}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "Python 3.11 or later not found: install one (python3.11 to python3.14)." >&2
    exit 1
}

# Environments cannot be moved or copied, so a folder that was starts over.
if [ "$(cat .venvs/folder 2>/dev/null)" != "$PWD" ]; then
    rm -rf .venv .venvs
fi
if ! cmp -s locks/uv.txt .venvs/uv/lock.txt; then
    python=$(find_python)
    echo "Setting up uv in .venvs/uv with $("$python" --version) ..."
    if ! "$python" -m venv --clear .venvs/uv; then
        echo "This Python cannot create virtual environments: install its venv module" \
            "(python3-venv on Debian and Ubuntu)." >&2
        exit 1
    fi
    .venvs/uv/bin/python -m pip install --quiet --disable-pip-version-check \
        --only-binary :all: --require-hashes -r locks/uv.txt
    cp locks/uv.txt .venvs/uv/lock.txt
    echo "$PWD" >.venvs/folder
fi

sync() { # folder arguments...
    [ -d "$1" ] || echo "Setting up $1 ..."
    UV_PROJECT_ENVIRONMENT=$1
    export UV_PROJECT_ENVIRONMENT
    shift
    .venvs/uv/bin/uv --quiet sync --locked --python .venvs/uv/bin/python "$@"
}

locked_build="--no-build-isolation-package tap-medchat-swell
    --no-build-isolation-package medchat-swell-sandbox"
for group; do
    # Databases, and the files of runs, hold patient data and tokens.
    [ "$group" != meltano ] || { mkdir -p output .meltano && chmod 700 output .meltano; }
    # shellcheck disable=SC2086
    case $group in
    uv) ;;
    dev) sync .venv --group dev $locked_build ;;
    docs) sync .venvs/docs --only-group docs ;;
    wheel)
        sync .venvs/wheel --group dev $locked_build --no-editable \
            --reinstall-package tap-medchat-swell
        ;;
    lowest)
        sync .venvs/lowest --only-group dev
        .venvs/uv/bin/uv --quiet pip install --python .venvs/lowest \
            --resolution lowest-direct --upgrade . ./sandbox
        ;;
    *) sync "$PWD/.venvs/$group" --project tools --only-group "$group" ;;
    esac
done
