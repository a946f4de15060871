#!/usr/bin/env bash
# Makes a host ready for the cluster: cluster_host.sh cpu|cuda. Nothing is done where it is already.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1 venv=$HOME/apex-venv
chmod go= ~/.ray/auth_token || echo "warning: others on this host may read ~/.ray/auth_token" >&2
want="$build $(cat pyproject.toml constraints.txt | sha256sum | cut -d' ' -f1)"
[ "$(cat "$venv/.ready" 2>/dev/null || true)" = "$want" ] && exit 0

python=$(command -v python3.11) || { echo "this host has no python3.11: install it" >&2; exit 1; }
"$python" -m venv "$venv"
cp constraints.txt "$venv/constraints.txt"
index=()
case $build in
cpu) index=(--extra-index-url "${TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}") ;;
cuda) sed -i 's/^\(torch==[0-9.]*\)+cpu$/\1/' "$venv/constraints.txt" ;; # the plain wheel has CUDA
*) echo "cpu or cuda, not $build" >&2; exit 2 ;;
esac
pip=("$venv/bin/pip" install --quiet --disable-pip-version-check -c "$venv/constraints.txt")
"${pip[@]}" "${index[@]}" torch
# default: dashboard and metrics. boto3: the head starts workers. s3fs: a market store on S3.
"${pip[@]}" -e . "ray[default]" boto3 s3fs
echo "$want" >"$venv/.ready"
