"""What is installed along with the program, and under which licences: an SBOM, and a page for people.

The SBOM is CycloneDX, written by the tool of that project from an environment in which the release was installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Of the extension's packages those that are in what it runs, not only in how it is made.
BUNDLED = ("highlight.js", "markdown-it", "vscode-languageclient")
PAGE = """\
# Licences

codellama-ls {version} is under Apache-2.0 (see LICENSE).

**Code Llama's weights are not part of it.** They are downloaded from the hub when you name such a model, and are under
the Llama 2 Community License of Meta, which you accept there; its Acceptable Use Policy comes with it. The starter
model (SmolLM2-135M-Instruct) is under Apache-2.0, as is what was trained on top of it here.

What is installed along with it, with the engine, on {platform};
`codellama-ls-{version}.cdx.json` says the same for tools:

| package | version | licence |
|---|---|---|
{rows}

In the extension for VS Code, beside its own code:

| package | version | licence |
|---|---|---|
{extension}
"""


def write_sbom(python: Path, version: str, out: Path) -> Path:
    """The SBOM of an environment, whose interpreter is `python`."""
    made = out / f"codellama-ls-{version}.cdx.json"
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--of", "JSON"]
    subprocess.run([*command, "-o", made, python], check=True)
    sbom = json.loads(made.read_text(encoding="utf-8"))
    assert {"codellama-ls", "pygls", "torch"} <= {component["name"] for component in sbom["components"]}
    made.write_text(json.dumps(without_places(sbom), indent=2) + "\n", encoding="utf-8")
    return made


def without_places(sbom: dict[str, Any]) -> dict[str, Any]:
    """Without where on this machine a package was installed from."""
    for component in sbom["components"]:
        found = component.get("externalReferences", [])
        component["externalReferences"] = [each for each in found if not each["url"].startswith("file:")]
    return sbom


def page(sbom: dict[str, Any], extension: dict[str, Any], version: str) -> str:
    """The licences of an SBOM of Python packages, and of one of what the extension bundles."""
    rows, bundled = "\n".join(_rows(sbom)), "\n".join(_rows(extension))
    return PAGE.format(version=version, platform=sys.platform, rows=rows, extension=bundled)


def of_extension(folder: Path) -> dict[str, Any]:
    """What npm says of the packages that are bundled, and of what they need, as an SBOM."""
    command = ["npm", "sbom", "--sbom-format", "cyclonedx"]
    said = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    sbom: dict[str, Any] = json.loads(said)
    needs = {each["ref"]: each.get("dependsOn", []) for each in sbom["dependencies"]}
    kept = [each["bom-ref"] for each in sbom["components"] if each["name"] in BUNDLED]
    for ref in kept:  # grows while it is walked
        kept += [each for each in needs.get(ref, []) if each not in kept]
    return {**sbom, "components": [each for each in sbom["components"] if each["bom-ref"] in kept]}


def notices(folder: Path, sbom: dict[str, Any]) -> str:
    """The licences of what the extension bundles, word for word, as they ask for."""
    parts = []
    for component in sbom["components"]:
        at = next(
            path.parent
            for path in folder.glob(f"node_modules/**/{component['name']}/package.json")
            if json.loads(path.read_text(encoding="utf-8")).get("version") == component["version"]
        )
        texts = [path.read_text(encoding="utf-8") for path in sorted(at.glob("[Ll][Ii][Cc][Ee][Nn][CcSs][Ee]*"))]
        said = "\n".join(texts) or f"{licence_of(component)}, as its package.json says.\n"
        parts.append(f"{component['name']} {component['version']}\n\n{said.strip()}\n")
    return f"\n{'=' * 80}\n\n".join(parts)


def _rows(sbom: dict[str, Any]) -> Iterator[str]:
    for component in sorted(sbom["components"], key=lambda each: str(each["name"]).lower()):
        if component["name"] != "codellama-ls":
            yield f"| {component['name']} | {component.get('version', '')} | {licence_of(component)} |"


def licence_of(component: dict[str, Any]) -> str:
    """The licence of one component, in a few words; `not told` where its metadata names none."""
    found: list[str] = []
    for each in component.get("licenses", []):
        licence = each.get("license", {})
        text = licence.get("name", "").removeprefix("License :: ").removeprefix("OSI Approved :: ").partition("\n")[0]
        name = (
            each.get("expression") or licence.get("id") or (text if len(text) <= 60 else "")
        )  # else the whole licence
        if name and name not in found:
            found.append(name)
    return "; ".join(found) or "not told"
