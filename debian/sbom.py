#!/usr/bin/python3
"""What a package takes in from elsewhere, as CycloneDX 1.5: ``sbom.py WHEELHOUSE SITE-PACKAGES``, on standard output.

Libraries are those of requirements-run.txt, each with the SHA-256 of the wheel that was unpacked (one that the lock
names, or it fails) and the licence that it states; browser libraries are those of web/vendor. The same input gives the
same bytes.
"""

import datetime
import email.parser
import hashlib
import importlib.util
import json
import os
import re
import sys
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def locked():
    """Library to its version and the hashes that the lock allows."""
    found = {}
    for line in (HERE / "requirements-run.txt").read_text().splitlines():
        pin = re.match(r"([A-Za-z0-9._-]+)==(\S+)", line)
        if pin:
            allowed = found[normal(pin[1])] = (pin[2], set())
        elif "--hash=sha256:" in line:
            allowed[1].update(re.findall(r"sha256:([0-9a-f]{64})", line))
    return found


def component(name, version, purl, licence, digest=None):
    made = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if licence:
        made["licenses"] = [{"license": {"name": licence}}]
    if digest:
        made["hashes"] = [{"alg": "SHA-256", "content": digest}]
    return made


def licences(packages):
    """Library to what its metadata says."""
    found = {}
    for metadata in packages.glob("*.dist-info/METADATA"):
        told = email.parser.Parser().parsestr(metadata.read_text("utf-8"), headersonly=True)
        classified = [
            each.rsplit(" :: ", 1)[1] for each in told.get_all("Classifier", []) if each.startswith("License ::")
        ]
        stated = told.get("License-Expression") or told.get("License") or ", ".join(classified)
        found[normal(told["Name"])] = stated.strip().splitlines()[0][:200] if stated.strip() else ""
    return found


def wheels(wheelhouse):
    return {normal(path.name.split("-", 1)[0]): path for path in wheelhouse.glob("*.whl")}


def libraries(wheelhouse, packages):
    there, stated = wheels(wheelhouse), licences(packages)
    for name, (version, allowed) in sorted(locked().items()):
        digest = hashlib.sha256(there[name].read_bytes()).hexdigest()
        if digest not in allowed:
            sys.exit(f"{there[name]}: is none of those that requirements-run.txt names")
        yield component(name, version, f"pkg:pypi/{name}@{version}", stated[name], digest)


def browser_libraries():
    spec = importlib.util.spec_from_file_location("vendor", HERE / "web/vendor/vendor.py")
    vendor = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(vendor)
    for name, version, files in sorted(vendor.PACKAGES):
        licence = next(HERE / "web/vendor" / each for each in files.values() if each.endswith(".LICENSE"))
        kind = "Apache-2.0" if "Apache License" in licence.read_text("utf-8") else "MIT"
        purl = f"pkg:npm/{name.replace('@', '%40')}@{version}"
        yield component(name, version, purl, kind)


def main():
    version = re.search(r'^VERSION = "([^"]+)"', (HERE / "charging_manager/__init__.py").read_text(), re.MULTILINE)[1]
    parts = [*libraries(Path(sys.argv[1]), Path(sys.argv[2])), *browser_libraries()]
    at = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.UTC)
    ours = {"type": "application", "bom-ref": "charging-manager", "name": "charging-manager", "version": version}
    known = json.dumps([ours, parts], sort_keys=True)
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, known)}",
        "version": 1,
        "metadata": {"timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": ours},
        "components": parts,
        "dependencies": [{"ref": ours["bom-ref"], "dependsOn": [each["bom-ref"] for each in parts]}],
    }
    json.dump(bom, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
