"""ImageCache: same pixels in any order of events, and never half a file."""

import multiprocessing
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from automl_xfer.data import ImageCache, UnreadableImageError
from automl_xfer.errors import DataError


@pytest.fixture
def paths(draw):
    return [draw(f"{number}.png", number) for number in range(6)]


def entries(cache):
    return sorted(path.name for path in cache.directory.iterdir())


def test_pixels_are_the_images_in_order(tmp_path, paths):
    labels = np.array([0, 1, 0, 1, 0, 1])
    images = ImageCache(tmp_path / "c").load(paths, 20, labels)
    assert images.images.shape == (6, 20, 20, 3) and images.images.dtype == np.uint8
    assert len(images) == 6 and images.labels is labels
    image = Image.open(paths[3])
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    centre = (left, top, left + side, top + side)
    expected = image.resize((20, 20), Image.Resampling.BICUBIC, box=centre)
    np.testing.assert_array_equal(images.images[3], np.asarray(expected))


def test_the_second_load_reads_no_pixels_again(tmp_path, paths):
    cache = ImageCache(tmp_path / "c")
    first = cache.load(paths, 20)
    made = first.path.stat().st_mtime_ns
    calls = []
    second = cache.load(paths, 20, progress=lambda done, total: calls.append((done, total)))
    assert (second.key, second.path.stat().st_mtime_ns) == (first.key, made)
    assert calls == [(6, 6)]


def test_the_key_is_content_order_and_size(tmp_path, paths, picture):
    cache = ImageCache(tmp_path / "c")
    keys = {cache.load(paths, 20).key, cache.load(paths[::-1], 20).key, cache.load(paths, 21).key}
    copy = tmp_path / "copy.png"
    copy.write_bytes(paths[0].read_bytes())
    assert cache.load([copy, *paths[1:]], 20).key in keys
    picture(99).save(paths[0])
    keys.add(cache.load(paths, 20).key)
    assert len(keys) == 4


@pytest.mark.parametrize("damage", [b"", b"garbage", None], ids=["empty", "garbage", "cut"])
def test_a_broken_entry_is_made_again(tmp_path, paths, damage):
    cache = ImageCache(tmp_path / "c")
    good = cache.load(paths, 20)
    pixels = good.images.copy()
    content = good.path.read_bytes()
    good.path.write_bytes(content[:-100] if damage is None else damage)
    np.testing.assert_array_equal(cache.load(paths, 20).images, pixels)


def test_progress_counts_every_image(tmp_path, paths):
    calls = []
    ImageCache(tmp_path / "c").load(paths, 8, progress=lambda done, total: calls.append(done))
    assert calls == [1, 2, 3, 4, 5, 6]


def test_known_digests_are_trusted_but_checked(tmp_path, paths):
    cache = ImageCache(tmp_path / "c")
    with pytest.raises(UnreadableImageError, match="changed while it was read"):
        cache.load(paths, 8, digests={paths[0]: "0" * 64})
    assert entries(cache) == []


def test_an_unreadable_image_leaves_nothing_behind(tmp_path, paths):
    paths[4].write_bytes(paths[4].read_bytes()[:200])
    cache = ImageCache(tmp_path / "c")
    with pytest.raises(UnreadableImageError, match=r"4\.png: truncated"):
        cache.load(paths, 8)
    assert entries(cache) == []


def test_no_image_and_wrong_labels(tmp_path, paths):
    cache = ImageCache(tmp_path / "c")
    with pytest.raises(DataError, match="no image"):
        cache.load([], 8)
    with pytest.raises(ValueError, match="1 labels for 6 images"):
        cache.load(paths, 8, np.zeros(1, dtype=np.int64))


def test_a_file_where_the_folder_should_be(tmp_path, paths):
    (tmp_path / "c").write_text("in the way")
    with pytest.raises(DataError, match="Cannot write the image cache"):
        ImageCache(tmp_path / "c").load(paths, 8)


def test_no_room_left(tmp_path, paths):
    """The system refuses to write on: an error that says so, and no partial file."""
    program = """
import resource, sys
from pathlib import Path
from automl_xfer.data import ImageCache
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
ImageCache(Path(sys.argv[1])).load([Path(name) for name in sys.argv[2:]], 64)
"""
    arguments = [sys.executable, "-c", program, tmp_path / "c", *paths]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert "DataError: Cannot write the image cache" in done.stderr
    assert "free some space" in done.stderr
    assert entries(ImageCache(tmp_path / "c")) == []


def test_more_than_the_disk_holds_is_refused_at_once(tmp_path, paths):
    with pytest.raises(DataError, match="MB are free"):
        ImageCache(tmp_path / "c").load(paths, 10**7)


def load_in_child(directory, paths, barrier, results):
    barrier.wait()
    for size in range(8, 28):
        results.put(int(ImageCache(directory).load(paths, size).images.sum()))


def test_two_processes_make_the_same_entries(tmp_path, paths):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    children = [
        context.Process(target=load_in_child, args=(tmp_path / "c", paths, barrier, results))
        for _ in range(2)
    ]
    for child in children:
        child.start()
    sums = [results.get(timeout=60) for _ in range(40)]
    for child in children:
        child.join()
    cache = ImageCache(tmp_path / "c")
    expected = [int(cache.load(paths, size).images.sum()) for size in range(8, 28)]
    assert sorted(sums) == sorted(2 * expected)
    assert len(entries(cache)) == 20
