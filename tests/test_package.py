"""What `pip install` brings to a user."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_wheel_holds_the_package_alone_with_the_starters_adapter(tmp_path):
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, ROOT], check=True)
    (path,) = tmp_path.iterdir()
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"lsp_server"}
    assert "lsp_server/engine/loading/starter_infilling/adapter.safetensors" in names
