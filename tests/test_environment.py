"""The files that set the project up say the same thing."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNTIME = [Requirement(line) for line in PROJECT["dependencies"]]
DEVELOPMENT = [Requirement(line) for line in PROJECT["optional-dependencies"]["dev"]]
DECLARED = RUNTIME + DEVELOPMENT

# Where conda-forge has another name, or a smaller package of the same import.
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "seaborn": "seaborn-base"}

# What drives a browser comes from PyPI: its wheel brings the driver.
FROM_PYPI = {"playwright", "axe-playwright-python"}


def conda_entries(indent: int = 2) -> dict[str, str]:
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    found = re.findall(rf"^ {{{indent}}}- ([a-z0-9_-]+)((?:[<>=!~].*)?)$", text.split("dependencies:")[1], re.M)
    return dict(found)


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    parsed = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for requirement in parsed:
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), f"{requirement} in constraints.txt is not exact"
    return {canonicalize_name(each.name): Version(str(each.specifier)[2:]) for each in parsed}


def test_environment_has_the_names_and_ranges_of_pyproject():
    expected = {CONDA_NAMES.get(each.name, each.name): str(each.specifier) for each in DECLARED}
    expected |= {"python": PROJECT["requires-python"], "pip": ""}
    from_pypi = {name: expected.pop(name) for name in FROM_PYPI}
    assert conda_entries() == expected
    assert conda_entries(indent=6) == from_pypi


def test_environment_installs_the_package_editable_and_pins_no_build():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert "  - pip:\n      - -e .\n" in text
    assert "  - conda-forge\n" in text
    assert not re.search(r"^  - [^#\n]*=\S+=", text, re.M), "a build string ties the file to one platform"


def test_constraints_pin_every_declared_dependency_inside_its_range():
    pinned = pins()
    for requirement in DECLARED:
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{name} is declared in pyproject.toml but not pinned in constraints.txt"
        assert pinned[name] in requirement.specifier, f"the pin {name}=={pinned[name]} is outside {requirement}"


def test_constraints_pin_everything_that_the_dependencies_pull_in():
    pinned, seen, missing = pins(), set(), set()
    waiting = [(each.name, frozenset(each.extras)) for each in DECLARED]
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            version = Version(metadata.version(name)).public
        except metadata.PackageNotFoundError:  # another platform's package, or not part of this environment
            continue
        if canonicalize_name(name) not in pinned:
            missing.add(name)
        elif version != str(pinned[canonicalize_name(name)]):  # not the pinned environment: its needs may differ
            continue
        for need in map(Requirement, metadata.requires(name) or []):
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                waiting.append((need.name, frozenset(need.extras)))
    assert not missing, f"installed but not in constraints.txt: {', '.join(sorted(missing))}"


def test_ranges_stay_wide():
    torch = next(each for each in RUNTIME if each.name == "torch")
    assert Version("2.6.0") in torch.specifier
    for requirement in DECLARED:
        operators = {part.operator for part in requirement.specifier}
        assert operators <= {">="}, f"{requirement} is not a wide range; exact versions belong in constraints.txt"


def test_the_version_is_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (\S+)$", citation, re.M).group(1) == PROJECT["version"]
    facade = ROOT / "lab" / "__init__.py"
    if facade.exists():
        stated = re.search(r'^__version__ = "(.+)"$', facade.read_text(encoding="utf-8"), re.M)
        assert stated is None or stated.group(1) == PROJECT["version"]


def test_licence_and_authors_are_the_same_everywhere():
    assert PROJECT["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    assert "license: MIT\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert PROJECT["authors"][0]["name"] in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_make_offers_the_documented_targets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):.*## ", makefile, re.M))
    offered = {"figures", "test", "kernels", "browser", "lab", "notebooks", "site", "check", "bench", "help", "clean"}
    assert targets == offered
