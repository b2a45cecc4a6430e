"""Writes what an image holds as a CycloneDX document: the Python distributions and Debian packages that are installed.

For the build of the image (see Dockerfile): it reads what dpkg and pip have left behind, not what anybody asked for.
"""

import argparse
import platform
import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement

_PROJECT = "peatd"
_SHOWN = ("Package", "Version", "Architecture", "source:Package", "source:Version", "db:Status-Status")
_LICENSE_CLASSIFIER = "License :: "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site-packages", type=Path, required=True, help="where the Python distributions lie")
    parser.add_argument("--dpkg", type=Path, required=True, help="a copy of /var/lib/dpkg")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    bom = describe(args.site_packages, args.dpkg, platform.freedesktop_os_release())
    args.output.write_text(JsonV1Dot6(bom).output_as_string(indent=2) + "\n", encoding="utf-8")


def describe(site_packages: Path, dpkg: Path, os_release: dict[str, str]) -> Bom:
    """
    Args:
        os_release: of the system whose packages these are; see os-release(5).
    """
    bom = Bom()
    system = f"{os_release['ID']}-{os_release['VERSION_ID']}"
    bom.components.add(
        Component(
            type=ComponentType.OPERATING_SYSTEM,
            name=os_release["ID"],
            version=os_release["VERSION_ID"],
            bom_ref=system,
        )
    )
    bom.components.update(_debian_packages(dpkg, os_release["ID"], system))
    installed = {_normalized(found.name): found for found in distributions(path=[str(site_packages)])}
    components = {name: _python_component(name, found) for name, found in installed.items()}
    bom.metadata.component = components[_PROJECT]
    bom.components.update(component for name, component in components.items() if name != _PROJECT)
    for name, found in installed.items():
        bom.register_dependency(components[name], [components[other] for other in _needs(found) if other in components])
    return bom


def _debian_packages(dpkg: Path, vendor: str, system: str) -> Iterator[Component]:
    fields = "\t".join(f"${{{field}}}" for field in _SHOWN) + "\n"
    command = ["dpkg-query", f"--admindir={dpkg}", "--show", f"--showformat={fields}"]
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        name, version, architecture, source, source_version, status = line.split("\t")
        if status != "installed":
            continue
        # Security trackers speak of source packages; `upstream` is how scanners expect to be told.
        upstream = {} if (source, source_version) == (name, version) else {"upstream": f"{source}@{source_version}"}
        qualifiers = {"arch": architecture, "distro": system, **upstream}
        purl = PackageURL("deb", vendor, name, version, qualifiers)
        yield Component(type=ComponentType.LIBRARY, name=name, version=version, purl=purl, bom_ref=purl.to_string())


def _python_component(name: str, found: Distribution) -> Component:
    purl = PackageURL("pypi", name=name, version=found.version)
    return Component(
        type=ComponentType.APPLICATION if name == _PROJECT else ComponentType.LIBRARY,
        name=found.name,
        version=found.version,
        description=next(_fields(found, "Summary"), None),
        licenses=list(_licenses(found)),
        purl=purl,
        bom_ref=purl.to_string(),
    )


def _licenses(found: Distribution) -> Iterator[License]:
    """As the project states them: an SPDX expression, or the names of classifiers."""
    for expression in _fields(found, "License-Expression"):
        yield LicenseExpression(expression)
        return
    for classifier in _fields(found, "Classifier"):
        if classifier.startswith(_LICENSE_CLASSIFIER):
            yield DisjunctiveLicense(name=classifier.rpartition(" :: ")[2])


def _needs(found: Distribution) -> Iterator[str]:
    """Names of what it requires here, and of what some extra of it would."""
    extras = ["", *_fields(found, "Provides-Extra")]
    for text in found.requires or []:
        requirement = Requirement(text)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            yield _normalized(requirement.name)


def _fields(found: Distribution, name: str) -> Iterator[str]:
    """Of its metadata."""
    yield from found.metadata.get_all(name) or []


def _normalized(name: str) -> str:
    """PEP 503: `PyYAML` and `pyyaml` are one."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
