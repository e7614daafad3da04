"""decode_image: every kind of image to the right colours, every defect by its name."""

import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from automl_xfer.data import UnreadableImageError, decode_image
from automl_xfer.data.decode import MAX_PIXELS, decode_bytes, quiet_pillow


@pytest.fixture
def saved(tmp_path):
    def save(image, name, **options):
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return save


def centre(image):
    assert image.mode == "RGB"
    return image.getpixel((image.width // 2, image.height // 2))


def test_exif_orientation(saved):
    image = Image.new("RGB", (40, 20), "white")
    image.paste("black", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    upright = decode_image(saved(image, "a.jpg", exif=exif, quality=95))
    assert upright.size == (20, 40)
    assert upright.getpixel((10, 5))[0] < 10 and upright.getpixel((10, 35))[0] > 245


def test_broken_exif_does_not_cost_the_image(saved):
    path = saved(Image.new("RGB", (8, 8), "red"), "a.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    with warnings.catch_warnings(record=True) as heard, quiet_pillow():
        assert decode_image(path).size == (8, 8)
    assert heard == []


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "expected"),
    [
        ("L", 128, "png", (128, 128, 128)),
        ("1", 1, "png", (255, 255, 255)),
        ("RGBA", (200, 0, 0, 0), "png", (255, 255, 255)),
        ("RGBA", (255, 0, 0, 128), "png", (255, 127, 127)),
        ("LA", (0, 0), "png", (255, 255, 255)),
        ("CMYK", (255, 0, 0, 0), "tif", (0, 255, 255)),
        ("I;16", 32896, "png", (128, 128, 128)),
        ("I;16", 65535, "tif", (255, 255, 255)),
        ("I", 200, "tif", (200, 200, 200)),
        ("F", 0.5, "tif", (128, 128, 128)),
    ],
)
def test_modes(saved, mode, colour, suffix, expected):
    assert centre(decode_image(saved(Image.new(mode, (8, 8), colour), f"a.{suffix}"))) == expected


def test_cmyk_jpeg(saved):
    path = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "a.jpg", quality=100)
    assert np.allclose(centre(decode_image(path)), (255, 0, 0), atol=3)


def test_transparent_palette(saved):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert centre(decode_image(saved(image, "a.png"))) == (10, 20, 30)
    assert centre(decode_image(saved(image, "b.png", transparency=1))) == (255, 255, 255)


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_first_frame_of_an_animation(saved, suffix):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(frames[0], f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
    assert centre(decode_image(path)) == (255, 0, 0)


def test_large_jpeg_is_decoded_smaller_but_not_too_small(saved):
    path = saved(Image.new("RGB", (1600, 1200), (10, 200, 30)), "a.jpg", quality=95)
    small = decode_image(path, at_least=300)
    assert small.size == (400, 300)
    assert np.allclose(centre(small), (10, 200, 30), atol=4)
    assert decode_image(path).size == (1600, 1200)


def bomb():
    """A valid PNG header that claims 20,000 x 20,000 pixels."""
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk
    return start + struct.pack(">I", zlib.crc32(chunk)) + b"\0\0\0\0IDAT"


def encoded(kind):
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "zero bytes"),
        (b"<html>404</html>", "not an image"),
        (encoded("JPEG")[:1500], "truncated"),
        (encoded("PNG")[:1500], "truncated"),
        (encoded("WEBP")[:200], "corrupt"),
        (encoded("PNG")[:60] + b"\0" * 2000 + encoded("PNG")[2060:], "corrupt"),
        (b"\xff\xd8\xff", "corrupt (broken header)"),
        (bomb(), "too large"),
    ],
    ids=["zero", "html", "jpeg-cut", "png-cut", "webp-cut", "png-holes", "header", "bomb"],
)
def test_defects_have_names(tmp_path, content, reason):
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError) as caught:
        decode_image(path)
    assert reason in caught.value.reason
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_any_damage_is_an_image_or_a_named_defect(kind):
    random = np.random.default_rng(0)
    good = encoded(kind)
    outcomes = set()
    for attempt in range(60):
        bad = bytearray(good)
        for place in random.integers(0, len(bad) if attempt % 2 else 120, 6):
            bad[place] = random.integers(0, 256)
        try:
            with quiet_pillow():
                outcomes.add(decode_bytes(bytes(bad), "x", at_least=8).mode)
        except UnreadableImageError as defect:
            outcomes.add(bool(defect.reason))
    assert outcomes <= {"RGB", True} and True in outcomes


def test_the_pixel_limit_is_ours_alone(saved, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    side = int(MAX_PIXELS**0.5) + 1
    path = saved(Image.new("1", (side, side)), "a.png")
    with pytest.raises(UnreadableImageError, match=f"{side} x {side} pixels"):
        decode_image(path)


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("gone.png")
    (tmp_path / "folder.png").mkdir()
    for name, reason in [
        ("pipe.png", "not a regular file"),
        ("link.png", "a symbolic link to a missing file"),
        ("folder.png", "a folder"),
        ("none.png", "missing file"),
        ("x" * 300 + ".png", "cannot be read"),
    ]:
        with pytest.raises(UnreadableImageError) as caught:
            decode_image(tmp_path / name)
        assert reason in caught.value.reason


def test_decoding_good_images_warns_of_nothing(saved):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for mode in ("L", "RGB", "RGBA", "I;16"):
            decode_image(saved(Image.new(mode, (8, 8)), "a.png"))
