"""The kinds of bad input: what is called and what the message must say."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from bad_input_world import World

_numbers = count(1)  # each search has a study of its own


@dataclass(frozen=True)
class Kind:
    """One call of the command line. `says` is a regular expression that its message must match."""

    name: str
    arguments: tuple[str, ...]
    says: str
    fatal: bool = True
    offline: bool = False


def search(world: World, *arguments: object, target: Path | None = None) -> tuple[str, ...]:
    """A search that would run: one small trial with local weights on the CPU."""
    given = [str(argument) for argument in arguments]
    defaults = {
        "--target": target or world.good,
        "--studies-dir": world.studies,
        "--study": f"bad-{next(_numbers)}",
        "--weights-dir": world.weights,
        "--device": "cpu",
        "--image-size": 32,
        "--time-limit": "60s",
        "--trials": 1,
    }
    rest = [str(x) for name, x in defaults.items() if name not in given for x in (name, x)]
    return ("search", *given, *rest)


def folder_kinds(world: World) -> Iterator[Kind]:
    """Folders and images."""

    def kind(name: str, target: Path, says: str) -> Kind:
        return Kind(name, search(world, target=target), says)

    yield kind("target does not exist", world.root / "nowhere", "nowhere does not exist")
    yield kind("empty folder", world.folder("empty"), "empty is empty")
    yield kind("folder of text files", world.text("texts/a.txt", "hello").parent, "no image")
    yield kind("an image as target", world.flat / "000.png", "give the folder it lies in")
    yield kind("an archive as target", world.binary("images.zip", b"PK\3\4"), "unpack it")
    yield kind("one class only", world.classes("one", ("left",)), "only one class")
    yield kind("one image per class", world.classes("single", n=1), "at least")
    yield kind(
        "class folders without a single readable image", world.all_corrupt("corrupt"), "no image"
    )
    yield kind("flat folder and no source", world.flat, "--source")
    broken = str(world.broken_images("broken"))
    for name, file, reason in (
        ("a zero-byte image", "zero-byte.png", "zero bytes"),
        ("a truncated image", "truncated.png", "truncated"),
        ("a text called .jpg", "not-an-image.jpg", "not an image"),
        ("a corrupt image", "corrupt.png", "corrupt"),
        ("a decompression bomb", "bomb.png", "too large"),
    ):
        yield Kind(f"inspect: {name}", ("inspect", broken), rf"{file}.*{reason}", fatal=False)
    huge = ("inspect", str(world.huge_image("huge")))
    yield Kind("inspect: a huge image that is sound", huge, "10000 px wide", fatal=False)
    yield Kind(
        "search: all of these among good images",
        search(world, target=Path(broken)),
        "5 images cannot be read",
        fatal=False,
    )


def table_kinds(world: World) -> Iterator[Kind]:
    """CSVs."""

    def kind(name: str, target: Path, says: str) -> Kind:
        return Kind(f"CSV: {name}", search(world, target=target), says)

    lost = "image,label\nlost/1.png,left\nlost/2.png,top\n"
    yield kind("empty", world.text("empty.csv", ""), "empty.csv is empty")
    yield kind("header only", world.text("header.csv", "image,label\n"), "no row")
    yield kind("wrong column", world.table("column.csv", header="path,label,split"), "'path'")
    yield kind(
        "unknown split", world.table("split.csv", "holdout"), "line 2: unknown split 'holdout'"
    )
    yield kind("paths that do not exist", world.text("lost.csv", lost), "exists")
    yield kind("binary", world.binary("binary.csv", b"\x89PNG\0\xff\xfe\0"), "not text|binary")
    yield kind("unclosed quote", world.text("quote.csv", 'image,label\n"a.png,x\n'), "valid CSV")
    yield kind("test rows only", world.table("test.csv", "test"), "label|learn")


def source_kinds(world: World) -> Iterator[Kind]:
    """Sources."""
    good, other = world.good, world.classes("other", ("cat", "dog"))

    def kind(name: str, source: Path, says: str, *arguments: object, **given: bool) -> Kind:
        return Kind(f"source: {name}", search(world, "--source", source, *arguments), says, **given)

    yield kind("same as the target", good, "same as the target")
    yield kind("missing", world.root / "no-source", "no-source does not exist")
    yield kind("without labels", world.flat, "no labels")
    yield kind("no class in common", other, "none of its classes", fatal=False)


def option_kinds(world: World) -> Iterator[Kind]:
    """Options of the search."""

    def kind(option: str, value: object, says: str, **given: bool) -> Kind:
        return Kind(f"{option} {value}", search(world, option, value), says, **given)

    yield Kind("no --target", ("search",), "--target")
    yield Kind("unknown option", search(world, "--tme-limit", "3m"), "--time-limit")
    yield kind("--metric", "auc", "'auc' is not one of|must be one of")
    yield kind("--device", "cuda:9", "cuda")
    yield kind("--device", "toaster", "toaster")
    yield kind("--time-limit", "soon", "soon")
    yield kind("--time-limit", "2s", "at least 10 seconds")
    yield kind("--trials", 0, "at least 1")
    yield kind("--study", "../up", "--study")
    yield kind("--seed", -1, "--seed")
    yield kind("--image-size", 5, "between 16 and 1024")
    yield kind("--backbone", "resnet99", "resnet99")
    yield kind("--alignment", "corall", "'coral'")
    yield kind("--alignment", "coral", "alignment")
    yield kind("--plugins-dir", world.root / "no-plugins", "no-plugins")
    yield kind("--disable-plugin", "nobody", "nobody")
    yield Kind(
        "--plugins-dir with a syntax error in one file",
        search(world, "--plugins-dir", _plugin(world, "def (")),
        "SyntaxError",
        fatal=False,
    )


def _plugin(world: World, text: str) -> Path:
    return world.text("plugins/mine.py", text).parent


def study_file_kinds(world: World) -> Iterator[Kind]:
    """Study files."""

    def kind(name: str, file: Path, says: str) -> Kind:
        return Kind(f"--config: {name}", search(world, "--config", file), says)

    yield kind("missing file", world.root / "no.toml", "no.toml")
    yield kind("invalid TOML", world.text("invalid.toml", "target = ["), "not valid TOML")
    yield kind("unknown key", world.text("key.toml", "colour = 1\n"), "unknown option colour")
    yield kind("value of another type", world.text("type.toml", 'seed = "x"\n'), "seed")
    yield kind("choices no table", world.text("choices.toml", "choices = 3\n"), "choices")
    yield Kind(
        "--save-config in a folder that does not exist",
        search(world, "--save-config", world.root / "none" / "my.toml"),
        "my.toml",
    )


def weights_kinds(world: World) -> Iterator[Kind]:
    """Pretrained weights."""

    def kind(name: str, folder: Path, says: str) -> Kind:
        return Kind(f"--weights-dir: {name}", search(world, "--weights-dir", folder), says)

    broken = {name: world.root / f"weights-{name}" / "toy" for name in ("json", "name", "tensors")}
    for folder in broken.values():
        shutil.copytree(world.weights / "toy", folder)
    (broken["json"] / "config.json").write_text("{")
    (broken["name"] / "config.json").write_text('{"architecture": "resnet99"}')
    weights = broken["tensors"] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    yield kind("missing", world.root / "no-weights", "not a folder")
    yield kind("empty", world.folder("weights-empty"), "weights-empty")
    yield kind("broken config.json", broken["json"].parent, "config.json")
    yield kind("unknown architecture", broken["name"].parent, "config.json")
    yield kind("cut-off safetensors", broken["tensors"].parent, "weights-tensors/toy")
    no_weights = [*search(world, "--backbone", "resnet18.a1_in1k")]
    at = no_weights.index("--weights-dir")
    del no_weights[at : at + 2]
    yield Kind("no hub and no local weights", tuple(no_weights), "--weights-dir", offline=True)


def storage_kinds(world: World, read_only: Path | None) -> Iterator[Kind]:
    """Databases."""

    def kind(name: str, storage: object, says: str) -> Kind:
        return Kind(f"--storage: {name}", search(world, "--storage", storage), says)

    nobody = "postgresql://me:secret@127.0.0.1:1/studies"
    letter = world.text("letter.db", "Dear grandmother, " * 100)
    yield kind("PostgreSQL that does not answer", nobody, r"no database answers at .*\*\*\*")
    yield kind("another kind of database", "mysql://localhost/x", "SQLite or PostgreSQL")
    yield kind("a text file", letter, "not a usable SQLite database")
    yield kind("a folder", world.root, "is a folder")
    yield kind("in a file as folder", letter / "studies.db", "cannot be made")
    if read_only is not None:
        yield kind("folder that is read-only", read_only / "studies.db", "read-only|cannot be")
        arguments = search(world, "--studies-dir", read_only / "studies")
        yield Kind("--studies-dir that is read-only", arguments, "cannot be|read-only")
        demo = ("demo", "--studies-dir", str(read_only / "studies"))
        yield Kind("demo in a folder that is read-only", demo, "cannot be written")


def study_kinds(world: World) -> Iterator[Kind]:
    """Studies that are resumed or read."""
    more = world.classes("more", n=12)
    at = ("--studies-dir", str(world.studies))

    def resume(name: str, *arguments: object, target: Path | None = None) -> Kind:
        given = search(world, "--study", "good", *arguments, target=target)
        return Kind(f"resume with other {name}", given, f"another {name}")

    yield resume("data", target=more)
    yield resume("metric", "--metric", "macro-f1")
    yield resume("seed", "--seed", 3)
    yield resume("image size", "--image-size", 48)
    for name, arguments in (
        ("leaderboard", ("leaderboard", "goood")),
        ("dashboard", ("dashboard", "goood")),
        ("studies show", ("studies", "show", "goood")),
        ("studies delete", ("studies", "delete", "goood", "--yes")),
    ):
        yield Kind(f"{name} of an unknown study", (*arguments, *at), "there is good")
    nowhere = ("studies", "list", "--studies-dir", str(world.root / "none"))
    yield Kind("studies list without a database", nowhere, "no study database")
    yield Kind("plugins show of an unknown component", ("plugins", "show", "corall"), "coral")
    yield Kind("unknown command", ("serach",), "No such command 'serach'")


def predict_kinds(world: World) -> Iterator[Kind]:
    """Predictions."""
    image, out = world.flat / "000.png", world.root / "out.csv"
    cut, no_json = world.bundle("cut-bundle"), world.bundle("no-json-bundle")
    weights = next(cut.rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:500])
    (no_json / "bundle.json").write_text("{}")
    listed = world.bundle("list-bundle")
    (listed / "bundle.json").write_text("[]")
    table = world.table("paths.csv", header="file,label,split")
    at = ("--studies-dir", str(world.studies))

    def kind(name: str, says: str, *given: object, to: Path = out, fatal: bool = True) -> Kind:
        arguments = ("predict", *map(str, given), "--out", str(to), "--device", "cpu", *at)
        return Kind(f"predict: {name}", arguments, says, fatal)

    yield kind("unknown study", "there is good", "goood", image)
    yield kind("a folder that is no bundle", "not a bundle", world.flat, image)
    yield kind("bundle with cut-off weights", "safetensors", cut, image)
    yield kind("bundle with an empty description", "bundle.json", no_json, image)
    yield kind("bundle whose description is a list", "bundle.json", listed, image)
    yield kind("image that does not exist", "does not exist", "good", world.root / "no.png")
    yield kind("folder without images", "no images", "good", world.root / "texts")
    yield kind("CSV without an image column", "column", "good", table)
    yield kind("binary CSV", "binary.csv", "good", world.root / "binary.csv")
    yield kind("--out in no folder", "out.csv", "good", image, to=world.root / "none" / "out.csv")
    corrupt = world.root / "broken" / "left" / "truncated.png"
    yield kind(
        "an unreadable image", "truncated.png.*truncated", "good", corrupt, image, fatal=False
    )


def disk_kinds(world: World, small: Path) -> Iterator[Kind]:
    """A full disk, met early and late: `small` is a mounted drive of one megabyte."""
    big = world.classes("big", n=300)

    def kind(when: str, says: str, target: Path, folder: Path) -> Kind:
        return Kind(
            f"disk full {when}", search(world, "--studies-dir", folder, target=target), says
        )

    yield kind("while images are cached", "free some space", big, small / "cached")
    yield kind("while the model is written", "No space left|is full", world.good, small / "model")
    (small / "filler").write_bytes(bytes(shutil.disk_usage(small).free))
    yield kind("from the beginning", "is full", world.good, small / "nothing")
