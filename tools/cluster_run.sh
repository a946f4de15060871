#!/usr/bin/env bash
# Runs training on the head: cluster_run.sh RUN SETTING…. The run outlives this command, which
# shows RUN.log until the run ends, and ends with the run's exit code.
set -euo pipefail
cd "$(dirname "$0")/.."
run=$1
shift
mkdir -p "$(dirname "$run")"
export RAY_AUTH_MODE=token
# a process group of its own: neither a lost connection nor Ctrl-C here reaches it
setsid bash -c '
    run=$1 && shift
    ~/apex-venv/bin/python -m apex_trader.train hydra.run.dir="$run" "$@" && code=0 || code=$?
    echo "$code" >"$run.exit"
' _ "$run" "$@" >"$run.log" 2>&1 </dev/null &
pid=$!
echo "$pid" >"$run.pid"
echo "run $run, log $run.log; kill -TERM -- -$pid stops it at a checkpoint"
tail --pid="$pid" -n +1 -f "$run.log"
exit "$(cat "$run.exit" 2>/dev/null || echo 1)"
