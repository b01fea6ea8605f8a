"""Networks for other runtimes: torch.export archives and ONNX files, checked against the network itself."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from videozoo.errors import SettingError, VideozooError
from videozoo.hub.describe import clip_shape
from videozoo.training.recognizer import ActionRecognizer

Format = Literal["torch-export", "onnx"]
SUFFIXES: dict[str, str] = {"torch-export": ".pt2", "onnx": ".onnx"}
TOLERANCE = 1e-4  # of the largest score
TRACED, CHECKED = 2, 3  # clips a batch: a batch of 1 would be taken for a constant


class ExportError(VideozooError):
    """A network that cannot be exported; the text names the part and the reason."""


def export_model(model: ActionRecognizer, path: str | Path, form: Format = "torch-export") -> float:
    """Write the network, clip (B, T, C, H, W) to scores (B, K), for any batch; returns the largest relative difference.

    The written file is loaded again and compared with the network on another batch size; a difference of more than
    1e-4 of the largest score is an error, and the file is removed.

    Raises:
        ExportError: when a part of the network cannot be exported, or the file answers differently.
        SettingError: when the packages of the extra ``export`` are missing.
    """
    if form not in SUFFIXES:
        raise SettingError(f"format {form!r}: allowed are {', '.join(SUFFIXES)}")
    path = Path(path)
    network = model.network.eval()
    clips = example_clips(model)
    try:
        run = _WRITERS[form](network, clips[:TRACED], path)
    except (ImportError, VideozooError):
        raise
    except Exception as error:  # torch's exporters raise errors of dozens of kinds
        raise ExportError(f"{form}: {failing_part(network, clips[:TRACED], error)}") from error
    difference = compare(network, run, clips)
    if difference > TOLERANCE:
        path.unlink(missing_ok=True)
        raise ExportError(f"{form}: the file's scores differ by {difference:.1e} of the largest one")
    return difference


def example_clips(model: ActionRecognizer) -> Tensor:
    """Random clips as the network takes them. Shape: (3, T, C, H, W)."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(CHECKED, *clip_shape(model), generator=generator)


@torch.no_grad()
def compare(network: nn.Module, run: Callable[[Tensor], Tensor], clips: Tensor) -> float:
    """The largest difference of scores over the largest score, over batches of one and of three clips."""
    worst = 0.0
    for batch in (clips[:1], clips):
        expected = network(batch)
        worst = max(worst, ((run(batch) - expected).abs().max() / expected.abs().max().clamp_min(1e-12)).item())
    return worst


def failing_part(network: nn.Module, clips: Tensor, error: Exception) -> str:
    """The innermost module that cannot be exported by itself, and the first line of why."""
    missing = re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", str(error))
    if missing:
        return f"{part_with(missing[1], network, clips)} cannot be exported: ONNX has no operator for {missing[1]}"
    name, module, inputs = "network", network, (clips,)
    reason = error
    while True:
        for child, part, given in _called_children(module, inputs):
            problem = _export_problem(part, given)
            if problem is not None:
                name, module, inputs, reason = f"{name}.{child}", part, given, problem
                break
        else:
            return f"{name} ({type(module).__name__}) cannot be exported: {_first_line(reason)}"


def part_with(operator: str, network: nn.Module, clips: Tensor) -> str:
    """The first module whose graph holds an operator, or the one that it was made from (``prod`` from ``cumprod``)."""
    word = operator.rsplit(".", 1)[-1].strip("_").removesuffix("_ex")
    with torch.no_grad():
        graph = torch.export.export(network, (clips,)).graph
    for node in graph.nodes:
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        if word in str(node.target) and stack:
            path, kind = stack[-1]
            return ".".join(filter(None, ("network", path))) + f" ({str(kind).rsplit('.', 1)[-1]})"
    return f"network ({type(network).__name__})"


def _called_children(module: nn.Module, inputs: tuple[Any, ...]) -> list[tuple[str, nn.Module, tuple[Any, ...]]]:
    """The direct parts that a forward pass calls, and with what."""
    called: list[tuple[str, nn.Module, tuple[Any, ...]]] = []
    hooks = [
        child.register_forward_pre_hook(lambda part, given, name=name: called.append((name, part, given)))
        for name, child in module.named_children()
    ]
    try:
        with torch.no_grad():
            module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return called


def _export_problem(part: nn.Module, inputs: tuple[Any, ...]) -> Exception | None:
    try:
        with torch.no_grad():
            torch.export.export(part, inputs)
    except Exception as error:  # see export_model
        return error
    return None


def _first_line(error: Exception) -> str:
    """What it says first; torch's own first line only points at where to read on."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[: 2 if lines and "For more information" in lines[0] else 1])[:400] or type(error).__name__


def _dynamic() -> tuple[dict[int, Any], ...]:
    return ({0: torch.export.Dim("batch", min=1, max=4096)},)


def _write_torch_export(network: nn.Module, clips: Tensor, path: Path) -> Callable[[Tensor], Tensor]:
    with torch.no_grad():
        program = torch.export.export(network, (clips,), dynamic_shapes=_dynamic())
    torch.export.save(program, path)
    return torch.export.load(path).module()


def _write_onnx(network: nn.Module, clips: Tensor, path: Path) -> Callable[[Tensor], Tensor]:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise SettingError(f"{error.name} is missing: pip install 'videozoo[export]'") from error
    with torch.no_grad():
        torch.onnx.export(
            network,
            (clips,),
            path,
            dynamo=True,
            dynamic_shapes=_dynamic(),
            input_names=["clip"],
            output_names=["scores"],
            external_data=False,
            verbose=False,
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda batch: torch.from_numpy(session.run(["scores"], {"clip": batch.numpy()})[0])


_WRITERS: dict[str, Callable[[nn.Module, Tensor, Path], Callable[[Tensor], Tensor]]] = {
    "torch-export": _write_torch_export,
    "onnx": _write_onnx,
}
