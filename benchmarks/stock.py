"""transformers with bitsandbytes 8-bit as anybody would use them: what the engine's speed and outputs stand beside."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import Any

from lsp_server.engine.process import THREADS

# Read when torch is imported. On a machine with other work, idle threads that spin would make this model look many
# times slower than it is; the engine has the same settings.
os.environ.update({**THREADS, **os.environ})

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, DynamicCache
from transformers.generation.streamers import BaseStreamer

from benchmarks import systems
from lsp_server.engine.loading import weights

_ROUNDED = {
    8: BitsAndBytesConfig(load_in_8bit=True),
    4: BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16),
}


class Stock:
    """A checkpoint in `bits` 8 or 4 (bitsandbytes), 16 (bfloat16) or 32 (float32), on the GPU where there is one.

    Rounded layers compute in bfloat16: on a CPU float16, which `dtype="auto"` takes, is up to four times slower.
    """

    def __init__(self, folder: Path, bits: int = 8) -> None:
        weights.quiet()
        what = {16: "bfloat16", 32: "float32"}.get(bits, f"bitsandbytes {bits}-bit")
        self.name = f"transformers, {what}"
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = AutoModelForCausalLM.from_pretrained(
            folder,
            quantization_config=_ROUNDED.get(bits),
            dtype=torch.float32 if bits == 32 else torch.bfloat16,
            device_map=self.device,
        ).eval()

    def round(self) -> Stock:
        """Its weights, the head's too, rounded to 8 bits by bitsandbytes and computed with as before."""
        import bitsandbytes  # which may say something as soon as it is imported

        for module in self.model.modules():
            if isinstance(module, torch.nn.Linear):
                small, largest, _ = bitsandbytes.functional.int8_vectorwise_quant(module.weight.data.half())
                module.weight = torch.nn.Parameter(small * (largest[:, None] / 127).to(module.weight.dtype))
        self.name += " on weights rounded to 8 bits"
        return self

    def forward(self, ids: Sequence[int], cache: Any) -> torch.Tensor:
        """The logits after `ids`, [vocabulary], on the CPU in float32; `cache` takes their keys and values."""
        with torch.inference_mode():
            tensor = torch.tensor([list(ids)], device=self.device)
            output = self.model(input_ids=tensor, past_key_values=cache, use_cache=True, logits_to_keep=1)
            return output.logits[0, -1].float().cpu()

    def timed(self, ids: Sequence[int], cache: Any) -> tuple[float, int]:
        """(milliseconds of one forward pass, the most likely next id)."""
        started = time.perf_counter()
        following = int(self.forward(ids, cache).argmax())
        return 1000 * (time.perf_counter() - started), following

    def greedy(self, ids: Sequence[int], tokens: int) -> Iterator[torch.Tensor]:
        """The logits of each token of the most likely continuation, which is their maximum: stop reading where it is
        enough."""
        cache, following = new_cache(), list(ids)
        for _ in range(tokens):
            logits = self.forward(following, cache)
            following = [int(logits.argmax())]
            yield logits


def new_cache() -> Any:
    return DynamicCache()


class Generate(BaseStreamer):
    """A `systems.System`: transformers' own `generate`, greedy, in a thread of this process."""

    def __init__(self, stock: Stock) -> None:
        self.name, self.pid = f"{stock.name}, generate", os.getpid()
        self._stock = stock
        stock.model.generation_config.eos_token_id = None  # as many tokens as are asked for
        self._arrived: asyncio.Queue[torch.Tensor | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    async def stream(
        self, ids: Sequence[int], tokens: int, *, whole: bool, chat: bool = False
    ) -> AsyncGenerator[Any, None]:
        tensor = torch.tensor([list(ids)], device=self._stock.device)
        work = asyncio.create_task(
            asyncio.to_thread(
                self._stock.model.generate,
                tensor,
                attention_mask=torch.ones_like(tensor),
                max_new_tokens=tokens,
                do_sample=False,
                streamer=self,
            )
        )
        work.add_done_callback(lambda _: self._arrived.put_nowait(None))  # also where it fails
        prompt, generated = 0, 0
        while (part := await self._arrived.get()) is not None:
            if prompt:
                generated += part.numel()
                yield systems.Piece("", part.numel())
            prompt = prompt or part.numel()  # which `generate` hands over first
        await work
        yield {"prefilled": prompt, "reused": 0, "generated": generated, "passes": generated}

    def put(self, value: torch.Tensor) -> None:
        self._loop.call_soon_threadsafe(self._arrived.put_nowait, value)

    def end(self) -> None:
        """Nothing: the thread ends then too."""
