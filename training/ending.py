"""How readily the taught model ends a hole."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lsp_server.codellama import CodeLlamaTokenizer
from training import data, holes
from training.model import Taught

SEED = 8
BATCHES, TOKENS = 24, 4096


def direction(taught: Taught, tokenizer: CodeLlamaTokenizer, files: Sequence[data.File]) -> torch.Tensor:
    """[hidden]: what a token's row gains so that its logit is higher by 1 wherever a hole may end, as evenly as can be:
    by least squares over the last states in the holes of some batches. `taught` is merged."""
    states = list[torch.Tensor]()
    for number in range(BATCHES):
        rows, learned = holes.padded(holes.batch(files, tokenizer, SEED, number, TOKENS))
        with torch.no_grad():
            states.append(taught.states(rows, learned).float())
    found = torch.cat(states)
    return torch.linalg.lstsq(found, found.new_ones(len(found), 1)).solution[:, 0]
