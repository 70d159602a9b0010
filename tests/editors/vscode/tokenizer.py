"""Writes Code Llama's tokenizer into the folder that is named, for a language server whose engine is a stand-in."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import checkpoints

checkpoints.code_llama_tokenizer(Path(sys.argv[1]))
