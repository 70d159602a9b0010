"""Modules that the answer to `initialize` does not need: loaded right after it, in a thread, before they are asked for.

On the event loop each of them would hold up what comes meanwhile: all together half a second on a busy machine.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import threading
from collections.abc import Sequence
from types import ModuleType

# In the order in which they are needed: the menu of the document that was opened, what reaches the model, the rest.
MENU, CATALOG = "lsp_server.server.menu", "lsp_server.actions.catalog"
ACTIONS, CHAT = "lsp_server.server.actions", "lsp_server.server.chat"
MODULES = (MENU, CATALOG, "tree_sitter", "psutil", "lsp_server.codellama", ACTIONS, CHAT)


class Preload:
    """The modules of one session. Use from one event loop."""

    def __init__(self, modules: Sequence[str] = MODULES) -> None:
        self._modules = modules
        self._loaded: dict[str, asyncio.Future[ModuleType]] = {}

    def begin(self) -> None:
        """Load them, one after the other."""
        if self._loaded:
            return
        loop = asyncio.get_running_loop()
        self._loaded = {name: loop.create_future() for name in self._modules}

        def tell(name: str, module: ModuleType | None, error: Exception | None) -> None:
            if module is not None:
                self._loaded[name].set_result(module)
            elif error is not None:
                self._loaded[name].set_exception(error)
                self._loaded[name].exception()  # who needs it is told; nobody may

        def load() -> None:
            # What modules are made of lives until the end; see `cli`.
            gc.disable()
            try:
                for name in self._modules:
                    module, problem = None, None
                    try:
                        module = importlib.import_module(name)
                    except Exception as error:
                        problem = error
                    loop.call_soon_threadsafe(tell, name, module, problem)
            except RuntimeError:  # the loop is closed: the session has ended
                pass
            finally:
                gc.freeze()
                gc.enable()

        threading.Thread(target=load, name="preload", daemon=True).start()

    async def module(self, name: str) -> ModuleType:
        """One of the modules, once it is loaded. Raises what its loading raised."""
        self.begin()
        return await asyncio.shield(self._loaded[name])
