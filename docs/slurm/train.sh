#!/bin/bash
# Train on all GPUs of several nodes:
#
#     sbatch --nodes 4 --gpus-per-node 8 docs/slurm/train.sh --store stores/audioset.zarr --batch 16384
#
# Two minutes before the time limit, and when the job is canceled, all ranks save a checkpoint and stop. The same job
# continues from there, with any number of nodes. If ranks are lost, torchrun starts all of them again, three times.
#SBATCH --job-name=myna-train
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
set -euo pipefail
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 # otherwise restarted ranks may look for ranks that have ended

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun --ntasks-per-node=1 --kill-on-bad-exit=1 \
    python -m torch.distributed.run \
    --nnodes "$SLURM_JOB_NUM_NODES" \
    --nproc-per-node "${SLURM_GPUS_ON_NODE:-1}" \
    --rdzv-id "$SLURM_JOB_ID" \
    --rdzv-backend c10d \
    --rdzv-endpoint "$first:${MYNA_RENDEZVOUS_PORT:-29500}" \
    --max-restarts 3 \
    -m model.train "$@"
