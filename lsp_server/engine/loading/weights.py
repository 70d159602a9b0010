"""Load a checkpoint into memory after a plan, in 8 bits, in 4, or to compare with in 16, shard by shard.

In 8 bits linear layers become bitsandbytes' `Linear8bitLt` (LLM.int8, one matrix at a time), or where that does not run
are rounded the same way here (`linears.round_linears`); in 4 its `Linear4bit` (nf4, a scale for 64 weights, which is
not rounded itself). Everything else is 16 bit: bfloat16 where the CPU computes any of it (its fast int8 kernel takes
nothing else) and on GPUs that have it, float16 on older GPUs.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsp_server import installing
from lsp_server.engine.loading import prequantized
from lsp_server.engine.loading.checkpoint import Checkpoint, Progress, Report
from lsp_server.engine.loading.devices import gib
from lsp_server.engine.loading.empty import model_config
from lsp_server.engine.loading.heap import memory_held, small_heap
from lsp_server.engine.loading.plan import Plan
from lsp_server.errors import UserError

if TYPE_CHECKING:
    import torch


class LoadFailed(UserError):
    """A checkpoint could not be loaded; the message is one sentence with a way out."""


class LoadStopped(Exception):
    """Loading was stopped on request."""


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run. `peak_bytes` is the most memory the process held between two weights while loading (pages
    of files, which the system can take back, are not counted on Linux); `device` is a name for people."""

    model: torch.nn.Module
    config: dict[str, Any]
    device: str
    load_seconds: float
    peak_bytes: int
    gpu_peak_bytes: int


def load(checkpoint: Checkpoint, plan: Plan, report: Report, stop: threading.Event | None = None) -> LoadedModel:
    """Load `checkpoint` as `plan` says; `report` is told of each part, `stop` ends it between two weights.

    Raises LoadFailed (with a way out) and LoadStopped. What was loaded until then is freed.
    """
    started = time.monotonic()
    quiet()
    report(Progress("loading", 0.0, f"shard 1 of {len(checkpoint.shards)}"))
    try:
        import torch
        from transformers import AutoModelForCausalLM, GenerationConfig

        from lsp_server.engine.passes import linears, rounding
        from lsp_server.engine.passes.int8 import Int8Linear
    except ImportError as error:
        raise LoadFailed(f"{error.name} is not installed; run `{installing.engine()}`.") from None
    watch = _Watch(checkpoint, report, stop)
    device_map, disk = _placement(plan)
    try:
        with small_heap(), _watched(watch), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, info = AutoModelForCausalLM.from_pretrained(
                checkpoint.folder,
                # Nothing is read that was not looked at: the config as it was read, and no generation_config.json.
                config=_config(checkpoint, plan),
                generation_config=GenerationConfig(),
                quantization_config=_quantization(checkpoint, plan, disk),
                device_map=device_map,
                dtype=_dtype(plan),
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
            if plan.bits == 8 and not rounding.has_bitsandbytes():  # nor is it rounded already then
                linears.round_linears(model, Int8Linear)
    except (LoadStopped, LoadFailed):
        raise
    except (torch.cuda.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(plan, error) from None
    except Exception as error:
        if "DefaultCPUAllocator" in str(error) or "out of memory" in str(error):
            raise _out_of_memory(plan, error) from None
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise LoadFailed(f"{checkpoint.folder} could not be loaded ({first}); take another checkpoint.") from error
    missing = sorted(info["missing_keys"])
    if missing:  # transformers would fill them with random numbers
        raise LoadFailed(
            f"{checkpoint.folder} has no weights for {missing[0]}"
            + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
            + "; download the checkpoint again."
        )
    report(Progress("loading", 1.0, f"shard {len(checkpoint.shards)} of {len(checkpoint.shards)}"))
    gpu_peak = sum(torch.cuda.max_memory_allocated(index) for index in _gpus(plan))
    seconds = time.monotonic() - started
    return LoadedModel(
        model, checkpoint.config, device_name(plan, torch.get_num_threads()), seconds, watch.peak_bytes, gpu_peak
    )


def quiet() -> None:
    """Keep out of the log what bitsandbytes says at each matrix product, and transformers' chatter."""
    for name in ("bitsandbytes.autograd._functions", "bitsandbytes.backends.cpu.ops"):
        logger = logging.getLogger(name)
        if _not_noise not in logger.filters:
            logger.addFilter(_not_noise)
    warnings.filterwarnings("ignore", message="MatMul8bitLt: inputs will be cast")
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    with contextlib.suppress(ImportError):
        import transformers

        transformers.utils.logging.set_verbosity_error()


def _not_noise(record: logging.LogRecord) -> bool:
    return not record.msg.startswith(("MatMul8bitLt: inputs will be cast", "Failed to load CPU gemm_4bit_forward"))


class _Watch:
    """Follows transformers through the weights: tells `report` of shards, looks at `stop`, notes the memory."""

    def __init__(self, checkpoint: Checkpoint, report: Report, stop: threading.Event | None) -> None:
        self._report, self._stop = report, stop
        self._shards = [{name: tensor.bytes for name, tensor in shard.tensors.items()} for shard in checkpoint.shards]
        self.peak_bytes = memory_held()

    def over(self, items: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        """Yield `items`, pairs of a weight's name and what loads it, counting what has been read.

        Weights come in the model's order, which is not always the shards'; so the finished shards are counted.
        """
        pairs = [(name, transform, _sources(name, transform)) for name, transform in items]
        wanted = {source for _, _, sources in pairs for source in sources}
        left = [{name: size for name, size in shard.items() if name in wanted} for shard in self._shards]
        total = max(sum(sum(shard.values()) for shard in left), 1)
        for name, transform, sources in pairs:
            if self._stop is not None and self._stop.is_set():
                raise LoadStopped("Loading was stopped.")
            yield name, transform
            self.peak_bytes = max(self.peak_bytes, memory_held())
            for shard in left:
                for source in sources:
                    shard.pop(source, None)
            done = 1 - sum(sum(shard.values()) for shard in left) / total
            current = min(sum(not shard for shard in left) + 1, len(left))
            self._report(Progress("loading", min(done, 0.999), f"shard {current} of {len(left)}"))


def _sources(name: str, transform: Any) -> list[str]:
    """The tensors of the checkpoint that make up one weight of the model."""
    return list(getattr(transform, "collected_tensors", None) or [name])


@contextlib.contextmanager
def _watched(watch: _Watch) -> Iterator[None]:
    """Have transformers hand its loop over the weights to `watch`, and show no bars of its own."""
    from transformers.utils import logging as transformers_logging

    def hook(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if kwargs.get("desc") == "Loading weights" and args:
            return watch.over(args[0])
        return factory(*args, **{**kwargs, "disable": True})

    previous = transformers_logging.set_tqdm_hook(hook)
    try:
        yield
    finally:
        transformers_logging.set_tqdm_hook(previous)


def _placement(plan: Plan) -> tuple[dict[str, Any], list[str]]:
    """The plan's device map for transformers, and the modules whose linears stay on disk.

    Beside a GPU, "cpu" would mean to accelerate: copy the weights to the GPU at each pass, and to bitsandbytes: leave
    them in 16 bits. A `torch.device` means what it says: 8 bits, computed on the CPU.
    """
    import torch

    disk = [name for name, device in plan.device_map.items() if device == "disk"]
    places = {name: "cpu" if device == "disk" else device for name, device in plan.device_map.items()}
    if set(places.values()) == {"cpu"}:
        return {"": "cpu"}, disk
    if len(set(places.values())) == 1:
        return {"": next(iter(places.values()))}, disk
    return {name: torch.device("cpu") if device == "cpu" else device for name, device in places.items()}, disk


def _config(checkpoint: Checkpoint, plan: Plan) -> Any:
    """transformers' config, with what is to be known of weights that are rounded already: all but those that the
    checkpoint has in 16 bits."""
    described = model_config(checkpoint.config)
    rounded = prequantized.of(checkpoint.config, checkpoint.folder)
    if rounded is not None:
        whole = [name for name, tensor in checkpoint.tensors.items() if tensor.dtype != prequantized.ROUNDED]
        described.quantization_config = {
            **rounded.settings(),
            "bnb_4bit_compute_dtype": str(_dtype(plan)).removeprefix("torch."),
            "llm_int8_skip_modules": ["lm_head", *(name.removesuffix(".weight") for name in whole)],
        }
    return described


def _quantization(checkpoint: Checkpoint, plan: Plan, disk: list[str]) -> Any:
    """How to quantize for `from_pretrained`, with or without modules that stay on disk; None in 16 bits, and where
    bitsandbytes does not run, and the layers are rounded when they have been read."""
    from lsp_server.engine.passes import rounding

    if plan.bits == 16:
        return None
    rounded = prequantized.of(checkpoint.config, checkpoint.folder)
    if (plan.bits == 4 or rounded is not None) and not rounding.has_bitsandbytes():
        instead = "set `quantization` to 8" if rounded is None else "take the model's 16-bit checkpoint"
        raise LoadFailed(
            f"Weights of {plan.bits} bits need bitsandbytes, which is not installed; run "
            f"`{installing.adding('bitsandbytes')}`, or {instead}."
        )
    if rounded is not None:
        rounding.bitsandbytes()
        return None  # the config says it
    if not rounding.has_bitsandbytes():
        if disk:
            raise LoadFailed(
                "The model is larger than the memory, and keeping layers on disk needs bitsandbytes, which is not "
                f"installed; run `{installing.adding('bitsandbytes')}`, or take a smaller model."
            )
        return None
    rounding.bitsandbytes()  # transformers takes it from there
    if not disk:
        from transformers import BitsAndBytesConfig

        if plan.bits == 4:
            return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=_dtype(plan))
        return BitsAndBytesConfig(load_in_8bit=True)
    from lsp_server.engine.loading.disk import quantization

    files: dict[str, Path] = {name: shard.path for shard in checkpoint.shards for name in shard.tensors}
    return quantization(disk, files)


def _gpus(plan: Plan) -> list[int]:
    return [row.device.index for row in plan.rows if row.device.kind == "cuda"]


def _dtype(plan: Plan) -> torch.dtype:
    import torch

    gpus = _gpus(plan)
    on_cpu = any(row.device.kind != "cuda" for row in plan.rows)
    modern = all(torch.cuda.get_device_capability(index) >= (8, 0) for index in gpus)
    return torch.bfloat16 if on_cpu or modern else torch.float16


def device_name(plan: Plan, threads: int) -> str:
    """What a plan's model is computed by, with so many threads of the processor."""
    import torch

    names = [torch.cuda.get_device_name(index) for index in _gpus(plan)]
    if any(row.device.kind == "cpu" for row in plan.rows):
        names.append(f"CPU, {threads} thread{'s' * (threads != 1)}")
    if any(row.device.kind == "disk" for row in plan.rows):
        names.append("disk")
    return " + ".join(names)


def _out_of_memory(plan: Plan, error: BaseException) -> LoadFailed:
    where = "The GPU" if "CUDA" in str(error) and _gpus(plan) else "This machine"
    return LoadFailed(
        f"{where} ran out of memory while the model was loaded ({gib(sum(row.used_bytes for row in plan.rows))} were "
        "planned); end other programs that use it, set a smaller `contextLength`, or take a smaller model."
    )
