"""Training with two processes that share every step (DDP); here two of one CPU, elsewhere GPUs or machines.

    python examples/distributed_training.py                          # starts the second process itself
    torchrun --nproc-per-node 2 examples/distributed_training.py     # or is started twice

No method and no data module knows about it: Lightning's strategy averages gradients, the sampler gives each process
its own videos, metrics are counted over all. For recipes, torchrun.sh and slurm.sbatch in the folder distributed start
`videozoo fit` with one process a GPU, on one machine or several; both say how at their beginning.
"""

from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from pytorch_lightning.strategies import DDPStrategy

from videozoo import create_model
from videozoo.clip_spec import ClipSpec
from videozoo.data.datamodules import MovingDigits
from videozoo.training.optimization import Optimization


class ShowShare(Callback):
    """Each process tells which videos it was given in a step, and what the weights add up to after it."""

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: object, batch: dict, place: int
    ) -> None:
        weights = sum(parameter.detach().double().abs().sum().item() for parameter in module.parameters())
        videos = batch["index"].tolist()
        told = f"process {trainer.global_rank} of {trainer.world_size}, step {place}: {videos}, |weights| {weights:.6f}"
        print(f"{told}\n", end="", flush=True)  # in one piece: the other process writes to the same place


if __name__ == "__main__":  # the second process runs this file again
    seed_everything(1, verbose=False)
    spec = ClipSpec(frames=8, size=32, resize=32)
    model = create_model(
        "tsm_resnet10_tiny",
        num_classes=4,
        # The rate is meant for 8 clips a step: with 2 x 4 it stays, with 8 x 4 it would be four times as high.
        optimization=Optimization(learning_rate=0.02, reference_batch=8),
    )
    data = MovingDigits(spec, videos_train=16, videos_val=8, batch_size=4)  # 4 a process: 8 a step
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy=DDPStrategy(process_group_backend="gloo"),  # nccl on GPUs, which is the default there
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=[ShowShare()],
    )
    trainer.fit(model, data)
    if trainer.is_global_zero:
        print(f"{trainer.global_step} steps of {trainer.world_size} x {data.batch_size} clips")
