#!/bin/bash
# Run a command of Myna on a Dask cluster of one Slurm job:
#
#     sbatch --ntasks 33 docs/slurm/on_dask.sh pipeline.ingest audioset --root /data/audioset
#
# One task is the scheduler with the command, and all others are workers with one thread each. The folder of the job
# must be on a file system that all nodes see. Credentials for TLS are made for this job and removed with it.
#SBATCH --job-name=myna
#SBATCH --ntasks=9
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=2G
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@60
set -euo pipefail

command=$1
shift
port=${MYNA_DASK_PORT:-8786}
address="tls://${MYNA_DASK_HOST:-$(hostname)}:$port"
credentials=$(mktemp -d "$PWD/.dask-XXXXXXXX") # readable by this user alone
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$credentials"' EXIT
trap 'exit 143' TERM

python - "$credentials" <<'PYTHON'
import sys
from pathlib import Path
from distributed.security import Security

made = Security.temporary()
for name, content in {"ca": made.tls_ca_file, "cert": made.tls_client_cert, "key": made.tls_client_key}.items():
    Path(sys.argv[1], f"{name}.pem").write_text(content)
PYTHON

tls=(--tls-ca-file "$credentials/ca.pem" --tls-cert "$credentials/cert.pem" --tls-key "$credentials/key.pem")
python -m distributed.cli.dask_scheduler "${tls[@]}" --protocol tls --port "$port" --no-dashboard --no-show &
# with a nanny, a worker that dies is replaced
srun --ntasks=$((SLURM_NTASKS - 1)) --cpus-per-task=1 --exact \
    python -m distributed.cli.dask_worker "$address" "${tls[@]}" --protocol tls --nthreads 1 --no-dashboard \
    --local-directory "${TMPDIR:-/tmp}" --death-timeout 120 &
python -m "$command" "$@" --scheduler "$address" "${tls[@]}" &
wait $! # of the command; a signal ends the wait, and the same job continues where it stopped
