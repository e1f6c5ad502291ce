#!/bin/sh
# Creates the environments that the Makefile needs, from hashed locks:
#     scripts/setup.sh dev [meltano] [singer-tools] [postgres] [audit]
# `dev` is .venv; the others are .venvs/<name>. Environments that are up to date are kept.
set -eu
unset PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV
export UV_PYTHON_DOWNLOADS=never
cd "$(dirname "$0")/.."

find_python() {
    for name in python3.13 python3.12 python3.11 python3 python; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "Python 3.11 or later not found: install one (python3.11 to python3.13)." >&2
    exit 1
}

# The stamp includes the path, because an environment cannot be moved or copied.
wanted() {
    pwd
    cat "$@"
}

up_to_date() ( # folder stamp-files...
    stamp=$1/.stamp
    shift
    [ -f "$stamp" ] && wanted "$@" | cmp -s - "$stamp"
)

set_up_uv() {
    if up_to_date .venvs/uv locks/uv.txt; then return; fi
    python=$(find_python)
    echo "Setting up uv in .venvs/uv with $("$python" --version) ..."
    rm -rf .venvs/uv
    if ! "$python" -m venv .venvs/uv; then
        echo "This Python cannot create virtual environments: install its venv module" \
            "(python3-venv on Debian and Ubuntu)." >&2
        exit 1
    fi
    .venvs/uv/bin/python -m pip install --quiet --disable-pip-version-check \
        --only-binary :all: --require-hashes -r locks/uv.txt
    wanted locks/uv.txt >.venvs/uv/.stamp
}

uv() {
    .venvs/uv/bin/uv --quiet "$@"
}

install() { # name folder stamp-files...
    name=$1
    folder=$2
    shift 2
    if up_to_date "$folder" "$@"; then return; fi
    set_up_uv
    echo "Setting up $name in $folder ..."
    rm -rf "$folder"
    uv venv --python .venvs/uv/bin/python "$folder"
    uv pip sync --python "$folder/bin/python" --require-hashes "locks/$name.txt"
    if [ "$name" = dev ]; then
        uv pip install --python "$folder/bin/python" --no-deps --no-build-isolation \
            --editable . --editable ./sandbox
    fi
    wanted "$@" >"$folder/.stamp"
}

for name; do
    case $name in
    uv) set_up_uv ;;
    dev) install dev .venv locks/dev.txt pyproject.toml sandbox/pyproject.toml ;;
    *) install "$name" ".venvs/$name" "locks/$name.txt" ;;
    esac
done
