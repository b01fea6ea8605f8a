#!/usr/bin/env bash
# Train a recipe with several processes on one machine or more, started by torchrun.
#
#   RECIPE=tsm/ssv2 DATA=/data/ssv2 NPROC=8 examples/distributed/torchrun.sh
#
# On several machines run it on each, with NODES, NODE (0, 1, ...) and HEAD, the address of machine 0. Further arguments
# are fields of the recipe, which win. The learning rate follows the clips of a step where the recipe says for how many
# it is meant (model.optimization.reference_batch).
set -euo pipefail

RECIPE=${RECIPE:?the name of a recipe, see: videozoo recipes}
DATA=${DATA:?the folder of its data set}
NPROC=${NPROC:-1} NODES=${NODES:-1} NODE=${NODE:-0} HEAD=${HEAD:-localhost} PORT=${PORT:-29500}

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # threads of every process; its loader has workers of its own
exec torchrun --nproc-per-node "$NPROC" --nnodes "$NODES" --node-rank "$NODE" \
    --master-addr "$HEAD" --master-port "$PORT" -- \
    "$(command -v videozoo)" fit --config "$RECIPE" --data.root "$DATA" \
    --trainer.devices "$NPROC" --trainer.num_nodes "$NODES" --trainer.strategy ddp "$@"
