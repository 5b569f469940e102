#!/bin/sh
# Runs the pipeline; installs what it needs in the cache first. `judge.sh --help` lists the commands.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cache=${POQ_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/poq}
"$here/../../testnet/setup/setup.sh" judge

# glibc returns large blocks to the system and allocates them again at each step, which is slow.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=100000000
export PYTHONPATH="$here:$cache/pytorch" PYTHONDONTWRITEBYTECODE=1
exec python3 -W ignore -m judge "$@"
