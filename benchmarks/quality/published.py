"""What others measured on HumanEval infilling, to stand beside what is measured here."""

from __future__ import annotations

from typing import Any

# Rozière et al., Code Llama, https://arxiv.org/abs/2308.12950, table 14: pass@1, greedy, of all tasks of each suite.
SOURCE = "Code Llama paper, table 14"
_TABLE = {
    ("CodeLlama-7b", "psm"): (74.1, 48.2, 59.7),
    ("CodeLlama-7b", "spm"): (83.3, 50.8, 39.0),
    ("CodeLlama-13b", "psm"): (75.9, 51.0, 63.6),
    ("CodeLlama-13b", "spm"): (85.6, 56.1, 41.9),
}
PUBLISHED: list[dict[str, Any]] = [
    {"model": f"{model} ({SOURCE})", "suite": suite, "asked": layout, "pass@1": round(share / 100, 4)}
    for (model, layout), shares in _TABLE.items()
    for suite, share in zip(("single line", "multi-line", "random span"), shares, strict=True)
]
