"""What a server of others must be good for, through the language server: a suggestion, a chat and an action."""

from __future__ import annotations

import asyncio
from pathlib import Path

from acting_editor import acting_editor

ADD = 'def add(a, b):\n    """Return the sum of a and b."""\n    return \n\n\nprint(add(1, 2))\n'
STUB = 'def add(a, b):\n    """Return the sum of a and b."""\n    ...\n'


async def completes_chats_and_acts(url: str, starter: Path, folder: Path) -> None:
    """Checks it at a server that has the starter."""
    options = {"engineUrl": url, "tokenizer": str(starter), "debounceMs": 0, "maxTokens": 12}
    async with acting_editor(options, folder) as window:
        uri = window.open(folder / "work" / "sums.py", ADD)
        assert "cursor" not in (await window.ready())["message"], "it reads the infilling tokens"
        items = await window.suggest(uri, 2, len("    return "))
        assert [item.insert_text for item in items] == ["a + b"], window.reason

        reply = await window.client.protocol.send_request_async(
            "codellama/chat/send", {"message": "What is a </s> in Python?", "maxTokens": 8}
        )
        assert reply.finishReason == "length"
        assert reply.message.strip()

        stub = window.open(folder / "work" / "stub.py", STUB)
        await asyncio.wait_for(window.choose(await window.menu(stub, (0, 6)), "Implement"), 60)
        assert window.texts[stub].startswith('def add(a, b):\n    """Return the sum of a and b."""\n    return')
        assert [status["kind"] for status in window.statuses if status["kind"] == "failed"] == []
