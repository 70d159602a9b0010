"""A language server and the user's configuration file: an editor's settings hold over it, what is wrong is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from editor import editor
from lsprotocol import types

NOBODY = "http://127.0.0.1:9"


async def test_the_file_is_under_the_editors_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    file.write_text('threads = 2\ndisabledLanguages = ["python", "lua"]\nmaxToken = 3\n', encoding="utf-8")
    monkeypatch.setenv("CODELLAMA_LS_CONFIG", str(file))
    options = {"disabledLanguages": ["lua"], "engineUrl": NOBODY}
    async with editor(options, configuration={"debounceMs": 1}) as window:
        (told,) = await window.until(lambda: window.messages)
        assert told == f"Code Llama: {file}, line 3: There is no setting `maxToken`; did you mean `maxTokens`?"
        for language in ("lua", "python"):
            uri = window.open(f"untitled:{language}", "x = ", language)
            await window.suggest(uri, 0, 4)
            told = [each["suggestion"] for each in window.statuses if each.get("suggestion")]
            assert told[-1]["uri"] == uri
            assert ("turned off" in told[-1]["reason"]) == (language == "lua"), told
        # It is read again with the editor's next word, here that there is nothing any more.
        file.write_text("threads = [", encoding="utf-8")
        window.client.set_configuration({"codellama": {"disabledLanguages": None}})
        window.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(None))
        await window.until(lambda: any("this is not TOML" in each for each in window.messages))
