#!/usr/bin/env bash
# Pin every package that Typefleet, its tests and its site need, with the SHA-256 of every file of each release, so that
# other platforms install the same: requirements/run.txt, test.txt and docs.txt. Needs uv (pip install uv).
#
#   requirements/lock.sh              add what pyproject.toml asks for and is not pinned yet; nothing else moves
#   requirements/lock.sh --upgrade    newest releases that pyproject.toml allows
set -euo pipefail
cd "$(dirname "$0")/.."

# The build backend is pinned too. From release 82 on it lacks a module that TensorBoard 2 imports.
build='setuptools>=77,<81'
header='# Every package with its hashes; made from pyproject.toml by requirements/lock.sh.'

run=requirements/run.txt

lock() {  # lock FILE FLAG...; without an index in it: whoever installs it has one of their own
    echo "$build" | uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links --output-file "requirements/$1" "${@:2}" pyproject.toml -
    sed -i "1i $header" "requirements/$1"
}

lock run.txt "$@"
mapfile -t known < <(sed -n 's/==.*//p' "$run")
for extra in test docs; do  # what comes on top
    sed -i '/^-r /d' "requirements/$extra.txt"
    lock "$extra.txt" "$@" --constraints "$run" --extra "$extra" "${known[@]/#/--no-emit-package=}"
    sed -i '1a -r run.txt' "requirements/$extra.txt"
done
