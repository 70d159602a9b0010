"""`transformers serve` behind the language server: it takes text alone, and refuses what it does not know."""

from __future__ import annotations

from pathlib import Path

from servers.using import completes_chats_and_acts


async def test_it_completes_chats_and_acts(transformers_serve: str, starter: Path, tmp_path: Path) -> None:
    await completes_chats_and_acts(transformers_serve, starter, tmp_path)
