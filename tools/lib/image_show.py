# SPDX-License-Identifier: Apache-2.0
"""Prints what is in OCI archives: image_show.py ARCHIVE... Sizes are those of the archive's layers, as they are pulled and as they
are on disk."""
import gzip
import io
import json
import sys
import tarfile


class Archive:
    """One image of an OCI archive."""

    def __init__(self, path):
        self._tar = tarfile.open(path)
        index = self._json("index.json")
        self.manifest = self._blob_json(index["manifests"][0]["digest"])
        self.digest = index["manifests"][0]["digest"]
        self.name = index["manifests"][0].get("annotations", {}).get("org.opencontainers.image.ref.name", path)
        self.config = self._blob_json(self.manifest["config"]["digest"])

    def _read(self, name):
        return self._tar.extractfile(name).read()

    def _json(self, name):
        return json.loads(self._read(name))

    def _blob(self, digest):
        return self._read("blobs/" + digest.replace(":", "/"))

    def _blob_json(self, digest):
        return json.loads(self._blob(digest))

    def pulled(self):
        return sum(layer["size"] for layer in self.manifest["layers"])

    def members(self):
        """Entries of all layers, topmost last."""
        for layer in self.manifest["layers"]:
            data = self._blob(layer["digest"])
            if layer["mediaType"].endswith("gzip"):
                data = gzip.decompress(data)
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                yield from tar


def mib(size):
    return f"{size / 2**20:.1f} MiB"


def show(path):
    image = Archive(path)
    files = [m for m in image.members() if m.isfile()]
    config = image.config["config"]
    print(f"{image.name}: {mib(image.pulled())} to pull, {mib(sum(m.size for m in files))} on disk, {len(files)} files")
    print(f"  {image.digest}, user {config.get('User')}, entry point {' '.join(config['Entrypoint'])}")
    small = 0
    for member in sorted(files, key=lambda m: -m.size):
        if member.size >= 100_000:
            print(f"  {member.size:>10}  /{member.name}")
        else:
            small += 1
    print(f"  and {small} files below 100 kB, {mib(sum(m.size for m in files if m.size < 100_000))} together")


if __name__ == "__main__":
    for archive in sys.argv[1:]:
        show(archive)
