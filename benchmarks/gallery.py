"""How a gallery of many pictures loads, sorts, filters and scrolls in headless Chromium.

    python benchmarks/gallery.py [--images 2000] [--side 512] [--pairs IMAGES PREDS TRUTH]

Without --pairs the cases are synthetic; with it they are read from files of the same name in the three folders. Needs
Selenium, Chromium and chromedriver. Prints JSON.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from selenium import webdriver

from lungmask_cli.formats.masks import read_lung_mask
from lungmask_cli.gallery.page import Card, Column, open_gallery
from lungmask_cli.gallery.picture import OVER, UNDER, draw_errors

Case = tuple[str, NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float32]]
SCROLL_SECONDS = 8
COLUMNS = [Column("dice", "Dice", "higher", 4), Column("area_percent", "Area difference (%)", "zero", 1)]

# Time until the page has rendered the change.
TIMED = """
const [id, value, event, done] = arguments;
const control = document.getElementById(id);
const start = performance.now();
control.value = value;
control.dispatchEvent(new Event(event));
const ran = performance.now() - start;
requestAnimationFrame(() => requestAnimationFrame(() => done([ran, performance.now() - start])));
"""
# Scrolls through the whole page in the given time and records the time between frames.
SCROLL = """
const [seconds, done] = arguments;
const long = [];
new PerformanceObserver((list) => long.push(...list.getEntries())).observe({ type: "longtask" });
const gaps = [];
const height = document.documentElement.scrollHeight - innerHeight;
let start = null;
let before = null;
const step = (now) => {
  start ??= now;
  if (before !== null) gaps.push(now - before);
  before = now;
  scrollTo({ top: (height * (now - start)) / (seconds * 1000), behavior: "instant" });
  if (now - start < seconds * 1000) requestAnimationFrame(step);
  else setTimeout(() => done([gaps, long.map((task) => task.duration)]), 500);
};
requestAnimationFrame(step);
"""


def synthetic_cases(count: int, side: int) -> Iterator[Case]:
    """Noisy bodies with two lungs, all different, so that the browser cannot reuse a decoded picture."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    noise = rng.normal(0, 0.02, (side, side))
    body = ((y - 0.55) / 0.6) ** 2 + ((x - 0.5) / 0.48) ** 2 < 1
    for number in range(count):
        tall, broad = rng.uniform(0.26, 0.34), rng.uniform(0.12, 0.16)
        truth = (((y - 0.5) / tall) ** 2 + ((np.abs(x - 0.5) - 0.21) / broad) ** 2) < 1
        predicted = np.roll(truth, (rng.integers(-9, 10), rng.integers(-5, 6)), axis=(0, 1))
        image = 0.1 + 0.6 * body - 0.35 * truth + np.roll(noise, number * 7919)
        yield f"case-{number:05d}", predicted, truth, np.clip(image, 0, 1).astype(np.float32)


def real_cases(images: Path, preds: Path, truth: Path, count: int) -> Iterator[Case]:
    for path in sorted(preds.iterdir())[:count]:
        with Image.open(images / path.name) as opened:
            image = np.asarray(opened.convert("L"), np.float32) / 255
        yield path.stem, read_lung_mask(path).lungs, read_lung_mask(truth / path.name).lungs, image


def write_gallery(path: Path, cases: Iterator[Case], side: int) -> int:
    cards = []
    with open_gallery(path, "Benchmark") as gallery:
        for name, predicted, truth, image in cases:
            both = int(predicted.sum()) + int(truth.sum())
            dice = 2 * int((predicted & truth).sum()) / both if both else float("nan")
            area = 100 * (int(predicted.sum()) / max(int(truth.sum()), 1) - 1)
            number = gallery.add_picture(draw_errors(predicted, truth, image, side))
            cards.append(Card(name, "scored", "", "", {"dice": dice, "area_percent": area}, number))
        gallery.finish(COLUMNS, cards, [(OVER, "over"), (UNDER, "under")], f"{len(cards)} scored")
    return len(cards)


def open_browser() -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1440,1000"):
        options.add_argument(argument)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))


def measure(driver: webdriver.Chrome, page: Path) -> dict[str, object]:
    driver.set_script_timeout(60)
    start = time.perf_counter()
    driver.get(page.as_uri())
    loaded = time.perf_counter() - start
    sort = driver.execute_async_script(TIMED, "sort", "1", "change")
    filtering = driver.execute_async_script(TIMED, "filter", "dice<0.95", "input")
    driver.execute_async_script(TIMED, "filter", "", "input")
    gaps, long_tasks = driver.execute_async_script(SCROLL, SCROLL_SECONDS)
    heap = driver.execute_script("return performance.memory ? performance.memory.usedJSHeapSize : null")
    return {
        "load_s": round(loaded, 2),
        "sort_ms": round(sort[0], 1),
        "sort_until_drawn_ms": round(sort[1], 1),
        "filter_ms": round(filtering[0], 1),
        "filter_until_drawn_ms": round(filtering[1], 1),
        "scroll_s": SCROLL_SECONDS,
        "frames": len(gaps),
        "median_frame_gap_ms": round(float(np.median(gaps)), 1),
        "longest_frame_gap_ms": round(max(gaps), 1),
        "frames_over_50_ms": round(sum(gap > 50 for gap in gaps) / len(gaps), 4),
        "long_tasks": len(long_tasks),
        "longest_task_ms": max(long_tasks, default=0),
        "pictures_in_document": driver.execute_script("return document.images.length"),
        "js_heap_mb": None if heap is None else round(heap / 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--pairs", type=Path, nargs=3, metavar=("IMAGES", "PREDS", "TRUTH"))
    options = parser.parse_args()
    cases = (
        real_cases(*options.pairs, options.images) if options.pairs else synthetic_cases(options.images, options.side)
    )
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "gallery.html")
        start = time.perf_counter()
        count = write_gallery(page, cases, options.side)
        figures: dict[str, object] = {
            "images": count,
            "write_s": round(time.perf_counter() - start, 1),
            "file_mb": round(page.stat().st_size / 1e6, 1),
        }
        driver = open_browser()
        try:
            figures |= measure(driver, page)
        finally:
            driver.quit()
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
