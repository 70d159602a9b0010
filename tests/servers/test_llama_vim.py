"""llama.vim, as llama.cpp has it, in a real Neovim with `codellama-ls engine --listen`: `make test-llama-cpp`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import httpx
import pytest
from engine.test_listen import listening, ready

from benchmarks import llama_cpp

sys.path.insert(0, str(Path(__file__).parents[1] / "editors" / "neovim"))

import nvim as neovim

pytestmark = [
    pytest.mark.skipif("LLAMA_CPP" not in os.environ, reason="it fetches llama.cpp's source: make test-llama-cpp"),
    pytest.mark.timeout(600),
]
SHAPES = "import math\n\n\ndef length(radius):\n    return 2 * math.pi * radius\n"
BELOW = ["", "", "def volume(radius):", "    return 4 / 3 * math.pi * radius**3"]
MAIN = "\n".join(["import math", "", "", "def area(radius):", "    return m", *BELOW, ""])
# Its defaults, but that it waits less before it sends more context ahead.
INIT = """
vim.opt.runtimepath:prepend('%s')
vim.opt.swapfile = false
vim.g.llama_config = {
  endpoint = '%s/infill', n_prefix = 256, n_suffix = 64, n_predict = 128, t_max_prompt_ms = 500,
  t_max_predict_ms = 3000, show_info = 2, auto_fim = true, max_line_suffix = 8, ring_n_chunks = 64,
  ring_chunk_size = 64, ring_scope = 1024, ring_update_ms = 200,
}
vim.fn['llama#init']()
"""


@pytest.mark.usefixtures("engines")
def test_it_suggests_as_one_types_and_knows_the_file_before(starter: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin" / "autoload"
    plugin.mkdir(parents=True)
    shutil.copy(llama_cpp.source() / "examples" / "llama.vim", plugin)
    (tmp_path / "shapes.py").write_text(SHAPES)
    (tmp_path / "main.py").write_text(MAIN)
    with listening("starter") as url:
        ready(url)
        env = neovim.environment(tmp_path)
        init = INIT % (plugin.parent, url)
        nvim = neovim.Neovim("0.12", tmp_path, tmp_path / "shapes.py", init, env, plugin=False)
        try:
            # What was read of the first file is computed ahead, before anything is typed.
            neovim.wait(lambda: computed(url) > 0, what="the first file at the engine")
            nvim.command(f"edit {tmp_path / 'main.py'}")
            nvim.command("5")
            nvim.input("Aa")
            neovim.wait(
                lambda: any(each[2].startswith("th.pi") for each in nvim.ghost()), what=lambda: str(nvim.ghost())
            )
            nvim.input("<Tab><Esc>")
            neovim.wait(lambda: nvim.lines[4].startswith("    return math.pi"), what=lambda: nvim.lines[4])
            assert nvim.lines[5:] == BELOW
        finally:
            nvim.close()
        assert 'outcome="refused"} 0' in httpx.get(f"{url}/metrics").text


def computed(url: str) -> int:
    """How many requests the engine has answered."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if "requests_total" in line and not line.startswith("#"))
