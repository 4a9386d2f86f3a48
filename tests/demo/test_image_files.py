"""Image files of every mode, written and read by Pillow."""

from __future__ import annotations

import logging
from pathlib import Path
import sys

import numpy as np
import pytest

from optuna_tnas.demo import image_files
from optuna_tnas.errors import DatasetError


Image = pytest.importorskip("PIL.Image")


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)


def written(folder: Path, name: str, image: np.ndarray | Image.Image) -> Path:
    path = folder / name
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(path)
    return path


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 3), (64, 64, 3)])
@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff"])
def test_pixels_come_back_as_they_were(
    tmp_path: Path, shape: tuple[int, ...], suffix: str
) -> None:
    originals = [noise(*shape, seed=seed) for seed in range(3)]
    paths = [written(tmp_path, f"{i}.{suffix}", image) for i, image in enumerate(originals)]
    images, readable = image_files.read(paths)
    assert readable.all() and images.dtype == np.uint8
    channels = 1 if len(shape) == 2 else 3
    np.testing.assert_array_equal(images, np.stack(originals).reshape(3, *shape[:2], channels))


def test_one_colored_image_makes_all_colored(tmp_path: Path) -> None:
    gray, colored = noise(8, 8), noise(8, 8, 3)
    images, _ = image_files.read(
        [written(tmp_path, "a.png", gray), written(tmp_path, "b.png", colored)]
    )
    np.testing.assert_array_equal(images[0], np.repeat(gray[..., None], 3, axis=-1))
    np.testing.assert_array_equal(images[1], colored)


def test_every_mode_is_read(tmp_path: Path) -> None:
    """One flat gray of 160, in all the ways to write it."""
    rgb = Image.new("RGB", (8, 8), (160, 160, 160))
    images = {
        "gray.png": rgb.convert("L"),
        "palette.png": rgb.convert("P", palette=Image.Palette.ADAPTIVE),
        "palette.gif": rgb.convert("P", palette=Image.Palette.ADAPTIVE),
        "opaque.png": rgb.convert("RGBA"),
        "gray_alpha.png": rgb.convert("LA"),
        "sixteen.png": Image.fromarray(np.full((8, 8), 160 * 257, dtype=np.uint16)),
        "photo.jpg": rgb,
        "print.jpg": rgb.convert("CMYK"),
        "some.webp": rgb,
    }
    paths = [written(tmp_path, name, image) for name, image in images.items()]
    read, readable = image_files.read(paths)
    assert readable.all()
    np.testing.assert_allclose(read, 160, atol=2)


@pytest.mark.parametrize(
    ("highest", "dtype", "unit"),
    [
        *((255, np.uint16, 255), (1023, np.uint16, 1023), (4095, np.uint16, 4095)),
        *((3000, np.uint16, 4095), (65535, np.uint16, 65535), (41120, np.uint16, 65535)),
        *((1.0, np.float32, 1.0), (0.02, np.float32, 0.02), (90_000, np.int32, 90_000)),
    ],
)
def test_numbers_of_more_bits_are_read_in_the_range_that_they_use(
    tmp_path: Path, highest: float, dtype: type, unit: float
) -> None:
    levels = np.array([0.0, 0.25, 0.5, 1.0])
    originals = [np.tile((highest * f * levels).astype(dtype), (4, 1)) for f in (0.5, 1.0)]
    paths = [written(tmp_path, f"{i}.tiff", image) for i, image in enumerate(originals)]
    images, readable = image_files.read(paths)
    assert readable.all() and images.dtype == np.uint8
    expected = np.stack(originals).astype(float)[..., None] * 255 / unit
    np.testing.assert_allclose(images, expected, atol=0.51)


def test_negative_numbers_begin_at_black(tmp_path: Path) -> None:
    image = np.linspace(-3, 1, 16, dtype=np.float32).reshape(4, 4)
    images, _ = image_files.read([written(tmp_path, "a.tiff", image)])
    np.testing.assert_allclose(images[0, ..., 0].ravel(), np.linspace(0, 255, 16), atol=0.51)


def test_numbers_that_are_not_finite_are_damage(tmp_path: Path) -> None:
    good = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    bad = np.full((4, 4), np.nan, dtype=np.float32)
    _, readable = image_files.read(
        [written(tmp_path, "a.tiff", good), written(tmp_path, "b.tiff", bad)]
    )
    assert readable.tolist() == [True, False]


def test_black_and_white_and_transparent(tmp_path: Path) -> None:
    bits = noise(8, 8) > 127
    glass = np.zeros((8, 8, 4), dtype=np.uint8)
    glass[:4, :, 3] = 255  # the upper half is black, the lower half is not there
    images, _ = image_files.read(
        [
            written(tmp_path, "bits.png", Image.fromarray(bits)),
            written(tmp_path, "glass.png", Image.fromarray(glass)),
        ]
    )
    np.testing.assert_array_equal(images[0, ..., 0], 255 * bits)
    assert (images[1, :4] == 0).all() and (images[1, 4:] == 255).all()


def test_a_photo_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    upright = np.zeros((16, 16), dtype=np.uint8)
    upright[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    Image.fromarray(np.rot90(upright)).save(tmp_path / "a.png", exif=exif)
    images, _ = image_files.read([tmp_path / "a.png"])
    np.testing.assert_array_equal(images[0, ..., 0], upright)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(10, 20), (30, 40), (12, 50)], (12, 40)),
        ([(640, 1280)] * 2, (32, 64)),
        ([(1, 5000)], (1, 64)),
    ],
)
def test_the_size_is_the_median_within_bounds(
    tmp_path: Path, sizes: list[tuple[int, int]], expected: tuple[int, int]
) -> None:
    paths = [written(tmp_path, f"{i}.png", noise(*size)) for i, size in enumerate(sizes)]
    assert image_files.read(paths)[0].shape == (len(sizes), *expected, 1)


def test_a_large_photo_shrinks_as_a_whole(tmp_path: Path) -> None:
    """JPEGs are decoded coarsely; left and right halves must stay where they are."""
    photo = np.zeros((1024, 2048), dtype=np.uint8)
    photo[:, 1024:] = 200
    images, _ = image_files.read([written(tmp_path, "a.jpg", photo)])
    assert images.shape == (1, 32, 64, 1)
    np.testing.assert_allclose(images[0, :, :30], 0, atol=3)
    np.testing.assert_allclose(images[0, :, 34:], 200, atol=3)


def test_damaged_files_are_named_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = written(tmp_path, "good.png", noise(8, 8))
    text = tmp_path / "text.png"
    text.write_text("no image")
    half = written(tmp_path, "half.jpg", noise(64, 64))
    half.write_bytes(half.read_bytes()[:1000])
    with caplog.at_level(logging.WARNING):
        images, readable = image_files.read([text, good, half])
    assert readable.tolist() == [False, True, False]
    assert len(images) == 1
    assert "2 of 3" in caplog.text and "text.png" in caplog.text and "half.jpg" in caplog.text
    with pytest.raises(DatasetError, match=r"None of the 1 .*text\.png"):
        image_files.read([text])


def test_what_counts_as_an_image_file() -> None:
    names = {"a.png": 1, "a.JPG": 1, "a.jpeg": 1, "notes.txt": 0, ".a.png": 0, "a": 0, "a.npz": 0}
    assert {name: image_files.is_image(Path(name)) for name in names} == names


def test_without_pillow_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DatasetError, match=r"pip install 'optuna-tnas\[images\]'"):
        image_files.is_image(Path("a.png"))
