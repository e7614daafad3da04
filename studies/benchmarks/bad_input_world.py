"""The inputs, good and bad, that `bad_input.py` gives to the command line."""

import json
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("left", "top")


class World:
    """A temporary folder with one good set of inputs, and ways to make bad ones beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.good = self.classes("good")
        self.flat = self.flat_folder("flat")
        self.studies = root / "studies"
        self.weights = root / "weights"
        _write_weights(self.weights / "toy")

    def classes(self, name: str, classes: tuple[str, ...] = CLASSES, n: int = 10) -> Path:
        """Class folders with `n` images each: a bright left half or a bright top."""
        for number, label in enumerate(classes):
            _draw(self.root / name / label, number % 2, n)
        return self.root / name

    def flat_folder(self, name: str) -> Path:
        """Images without any label."""
        _draw(self.root / name, 0, 6)
        _draw(self.root / name, 1, 6, start=6)
        return self.root / name

    def text(self, name: str, content: str) -> Path:
        """A text file."""
        return self.binary(name, content.encode())

    def binary(self, name: str, content: bytes) -> Path:
        """A file with these bytes."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def folder(self, name: str) -> Path:
        """An empty folder."""
        (self.root / name).mkdir(parents=True)
        return self.root / name

    def table(self, name: str, split: str = "train", header: str = "image,label,split") -> Path:
        """A CSV of the good images."""
        rows = [f"{path},{path.parent.name},{split}" for path in sorted(self.good.rglob("*.png"))]
        return self.text(name, "\n".join([header, *rows]) + "\n")

    def broken_images(self, name: str) -> Path:
        """Class folders with one file of every defect beside the good images."""
        folder = self.classes(name) / CLASSES[0]
        whole = (folder / "000.png").read_bytes()
        (folder / "zero-byte.png").write_bytes(b"")
        (folder / "truncated.png").write_bytes(whole[: len(whole) // 2])
        (folder / "not-an-image.jpg").write_text("a letter to my grandmother")
        (folder / "corrupt.png").write_bytes(whole[:8] + b"\0" * 200)
        (folder / "bomb.png").write_bytes(_bomb(60_000))
        return folder.parent

    def huge_image(self, name: str) -> Path:
        """Class folders with an image of a hundred megapixels, just within the limit."""
        folder = self.classes(name)
        Image.new("RGB", (10_000, 10_000), (9, 9, 9)).save(folder / CLASSES[0] / "huge.png")
        return folder

    def all_corrupt(self, name: str) -> Path:
        """Class folders in which no image can be read."""
        for label in CLASSES:
            for number in range(5):
                self.binary(f"{name}/{label}/{number}.jpg", b"\xff\xd8 and then nothing")
        return self.root / name

    def bundle(self, name: str) -> Path:
        """A copy of the bundle that the good study wrote."""
        shutil.copytree(self.studies / "good" / "bundle", self.root / name)
        return self.root / name


def _draw(folder: Path, kind: int, n: int, start: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng([n, start, kind, len(str(folder.name))])
    for number in range(start, start + n):
        pixels = random.integers(0, 70, (40, 40, 3))
        pixels[np.s_[:, :20] if kind == 0 else np.s_[:20]] += 110
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:03}.png")


def _write_weights(folder: Path) -> None:
    """An untrained small ResNet in timm's local layout, standing in for a pretrained model."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    folder.mkdir(parents=True)
    model = timm.create_model("resnet10t", num_classes=0)
    cfg = {"input_size": [3, 64, 64], "mean": [0.5] * 3, "std": [0.25] * 3}
    config = {"architecture": "resnet10t", "num_classes": 0, "pretrained_cfg": cfg}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "model.safetensors")


def _bomb(side: int) -> bytes:
    """A PNG of a few hundred kilobytes that claims side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
