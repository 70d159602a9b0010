"""Layers that stay on disk: their linear weights are read from the checkpoint's own files through a memory map.

transformers and accelerate can offload to disk too, but then bitsandbytes leaves everything on the CPU in 16 bits
(`llm_int8_enable_fp32_cpu_offload` skips what is on "cpu" along with what is on "disk"), and each forward pass copies
the offloaded weights. Here only the layers on disk stay in 16 bits, and the operating system keeps as many of their
pages in memory as there is room for.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

QUANTIZER = "bitsandbytes_8bit_disk"


class MappedLinear(nn.Module):
    """A linear layer, x [..., in] -> [..., out], whose weight [out, in] and bias [out] are pages of a file.

    It has no parameters, so nothing loads, moves or quantizes it. It computes on the CPU.
    """

    def __init__(self, name: str, files: dict[str, Path], bias: bool) -> None:
        super().__init__()
        self._weight = _map(f"{name}.weight", files)
        self._bias = _map(f"{name}.bias", files) if bias else None
        self.out_features, self.in_features = self._weight.shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # A checkpoint in another 16-bit form is converted on the way; one matrix at a time exists twice.
        bias = None if self._bias is None else self._bias.to(x.dtype)
        return nn.functional.linear(x, self._weight.to(x.dtype), bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, on disk"


def _map(name: str, files: dict[str, Path]) -> torch.Tensor:
    """A tensor over the pages of its file; the file stays open as long as the tensor lives."""
    with safe_open(files[name], framework="pt", device="cpu") as file:
        tensor: torch.Tensor = file.get_tensor(name)
    return tensor


@cache
def _config_class() -> type[Any]:
    """Register a quantizer that swaps the linears of some modules for mapped ones and quantizes the rest.

    `register_quantizer` is how transformers lets others add one; the model is handed over before its weights are read.
    """
    from transformers import BitsAndBytesConfig
    from transformers.quantizers import register_quantization_config, register_quantizer
    from transformers.quantizers.quantizer_bnb_8bit import Bnb8BitHfQuantizer

    @register_quantization_config(QUANTIZER)
    class Config(BitsAndBytesConfig):
        disk_modules: list[str]
        disk_files: dict[str, str]

    @register_quantizer(QUANTIZER)
    class Quantizer(Bnb8BitHfQuantizer):
        def _process_model_before_weight_loading(self, model: nn.Module, device_map: Any, **kwargs: Any) -> None:
            config: Any = self.quantization_config
            files = {tensor: Path(path) for tensor, path in config.disk_files.items()}
            for name, module in list(model.named_modules()):
                inside = any(name == prefix or name.startswith(prefix + ".") for prefix in config.disk_modules)
                if inside and type(module) is nn.Linear:
                    model.set_submodule(name, MappedLinear(name, files, module.bias is not None))
            super()._process_model_before_weight_loading(model, device_map, **kwargs)

    return Config


def quantization(modules: list[str], files: dict[str, Path]) -> Any:
    """A quantization config for `from_pretrained`: `modules` stay in `files` (path of each tensor), the rest is
    quantized to 8 bits."""
    config = _config_class()(load_in_8bit=True)
    config.quant_method = QUANTIZER
    config.disk_modules = modules
    config.disk_files = {tensor: str(path) for tensor, path in files.items()}
    return config
