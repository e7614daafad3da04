"""scan on CSVs: columns, splits, domains, and every way a table can be wrong."""

from collections import Counter

import pytest

from automl_xfer.data import scan
from automl_xfer.errors import DataError


@pytest.fixture
def table(draw, tmp_path):
    """Write a CSV beside four pictures, a.png to d.png."""
    for name in "abcd":
        draw(f"{name}.png")

    def write(text, name="t.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


def roles(scanned):
    return Counter((s.split, s.domain, s.label) for s in scanned.manifest.samples)


def test_all_columns(table):
    scanned = scan(
        table(
            "image,label,domain,split\n"
            "a.png,x,photo,source\nb.png,y,web,source\n"
            "c.png,x,art,train\nd.png,y,art,valid\na.png,y,art,train\n"
            "b.png,secret,art,unlabelled\nc.png,x,art,test\n"
        )
    )
    assert roles(scanned) == {
        ("source", "photo", "x"): 1,
        ("source", "web", "y"): 1,
        ("train", "art", "x"): 1,
        ("train", "art", "y"): 1,
        ("val", "art", "y"): 1,
        ("unlabelled", "art", None): 1,
    }
    assert (scanned.test.given, scanned.test.labels) == (("c.png",), ("x",))
    assert "secret" not in repr(scanned)


def test_without_split_and_domain(table, tmp_path):
    scanned = scan(table(f"image,label\na.png,x\nb.png,y\n{tmp_path}/c.png,\n"))
    assert roles(scanned) == {
        ("train", "target", "x"): 1,
        ("train", "target", "y"): 1,
        ("unlabelled", "target", None): 1,
    }


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("image,label\na.png,x\nb.png,y\n", "utf-8-sig"),
        ("Image ; LABEL\r\na.png;x\r\n\r\nb.png;y\r\n", "utf-8"),
        ("image\tlabel\na.png\tx\nb.png\ty\n", "utf-16"),
        ('label,other,image\nx,"1,2","a.png"\ny,3,b.png\n', "utf-8"),
    ],
    ids=["bom", "semicolon", "tabs-utf16", "quoted"],
)
def test_dialects(table, text, encoding):
    scanned = scan(table(text, encoding=encoding))
    assert [(s.given, s.label) for s in scanned.manifest.samples] == [
        ("a.png", "x"),
        ("b.png", "y"),
    ]


def test_a_csv_as_source(table, tmp_path):
    target = table("image\na.png\n")
    source = table("image,label,split\nb.png,x,\nc.png,y,train\nd.png,y,test\n", "web.csv")
    scanned = scan(target, [source])
    assert roles(scanned) == {
        ("unlabelled", "target", None): 1,
        ("source", "web", "x"): 1,
        ("source", "web", "y"): 1,
    }
    assert "Left out 1 image of the source" in scanned.warnings[0]


def test_repeated_rows_and_unlabelled_tests_are_said(table):
    scanned = scan(table("image,label,split\na.png,x,train\na.png,x,train\nb.png,y,\nc.png,,test"))
    assert len(scanned.manifest.samples) == 2 and scanned.test is None
    assert "1 row" in scanned.warnings[0]
    assert "1 test image without a label" in scanned.warnings[1]


def test_one_missing_image_is_left_to_the_health_check(table):
    assert len(scan(table("image,label\na.png,x\nno.png,y\n")).manifest.samples) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("image,label\n", "a header but no row"),
        ("path,label\na.png,x\n", "no column 'image' (columns found: 'path' and 'label')"),
        ("path,label\na.png,x\n", "rename 'path' to 'image'"),
        ("image,labels\na.png,x\n", "rename 'labels' to 'label'"),
        ("image,label,splt\na.png,x,train\n", "rename 'splt' to 'split'"),
        ("image,label,image\na.png,x,b.png\n", "the column image twice"),
        ("image,label,split\na.png,x,train\nb.png,y,holdout\n", "line 3: unknown split 'holdout'"),
        ("image,label,split\na.png,,train\n", "line 2: a train row needs a label"),
        ("image,label\n,x\n", "line 2: the image is empty"),
        ("image,label\na.png,x,y\n", "line 2: 3 values under 2 columns"),
        ('image,label\n"a.png,x\n', "not valid CSV"),
        ("image,label\nno.png,x\nnein.png,y\n", "None of the 2 images"),
        ("image,label\na.png,x\nb.png,x\n", "only one class ('x')"),
        ("image\na.png\nb.png\n", "has a label and there is no source"),
        ("image,label,split\na.png,x,val\nb.png,y,val\n", "has a label and there is no source"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "is not text in UTF-8"),
        (b"image,label\na\0.png,x\n", "is a binary file"),
    ],
)
def test_errors_name_the_place(table, text, words):
    with pytest.raises(DataError) as caught:
        scan(table(text))
    assert words in str(caught.value)
    assert "t.csv" in str(caught.value)


def test_paths_relative_to_the_wrong_folder(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    path = table("image,label\na.png,x\nb.png,y\n", "sub/t.csv")
    with pytest.raises(DataError, match="relative to the CSV, not to where you are"):
        scan(path)


def test_an_archive_is_no_table(tmp_path):
    (tmp_path / "d.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="neither a folder nor a CSV: unpack it"):
        scan(tmp_path / "d.zip")
