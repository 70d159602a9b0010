"""Writes a long conversation into the folder in which the language server keeps them."""

from __future__ import annotations

import sys
from pathlib import Path

from lsp_server.chat.store import Store
from lsp_server.chat.turns import Turn

ANSWER = """Use a **set**: looking something up in it takes the same time however much it holds.

```python
def unique(items):
    seen = set()
    return [item for item in items if not (item in seen or seen.add(item))]
```

- It keeps the order.
- Items must be hashable, which `list` is not.
"""

store = Store(Path(sys.argv[1]))
conversation = store.begin("A long talk", {})
for turn in range(int(sys.argv[2])):
    role = "assistant" if turn % 2 else "user"
    text = f"{ANSWER}\nThis was answer {turn}." if turn % 2 else f"Question {turn}: how do I drop what is there twice?"
    store.put(conversation.id, Turn(turn, role, text, finished="stop" if turn % 2 else ""))
store.close()
