"""The long run: `python -m tests.fuzz --inputs 100000`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

import checkpoints

from lsp_server.codellama import CodeLlamaTokenizer

from . import front

# Inputs of one session; a fault is repeated by its session.
SESSION = 100


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--inputs", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--session", type=int, help="only this one, of which a fault was told")
    chosen = options.parse_args()
    faults, done, began = 0, 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "work"
        root.mkdir()
        for name in ("a.py", "b.py"):
            (root / name).write_text(front.messages.TEXT)
        os.environ["CODELLAMA_LS_DATA"] = str(Path(folder) / "data")
        os.environ["CODELLAMA_LS_RUNTIME"] = str(Path(folder) / "run")
        (Path(folder) / "tokenizer").mkdir()
        tokenizer = CodeLlamaTokenizer.from_pretrained(
            checkpoints.code_llama_tokenizer(Path(folder) / "tokenizer", "7b", "json"), chat_format="inst"
        )
        with front.scripted(tokenizer):
            count = -(-chosen.inputs // SESSION)
            for number in range(count) if chosen.session is None else [chosen.session]:
                try:
                    asyncio.run(front.run(root, Random(f"{chosen.seed} {number}"), SESSION))
                except front.Fault as fault:
                    faults += 1
                    print(f"\nsession {number} (again: --seed {chosen.seed} --session {number}):\n{fault}")
                done += SESSION
    seconds = time.monotonic() - began
    print(f"{done} inputs in {seconds:.0f} s ({done / seconds:.0f} a second), {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
