"""Draw docs/images/demo.jpg, the picture of the README: `python docs/draw_demo.py`.

The radiograph is RG1 of the sample images of DICOM's Working Group 4, as in the package pydicom-data (MIT).
"""

from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.data import get_testdata_file

from lungmask_cli import Segmenter
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging.normalization import normalize
from lungmask_cli.imaging.overlay import draw_overlay
from lungmask_cli.imaging.polarity import DARK_BONES

TARGET = Path(__file__).parent / "images" / "demo.jpg"
HEIGHT, GAP = 440, 10


def main() -> None:
    radiograph = read_radiograph(Path(str(get_testdata_file("RG1_UNCR.dcm", download=False))))
    found = Segmenter().segment_radiograph(radiograph)
    image = normalize(radiograph.inverted() if DARK_BONES in found.warnings else radiograph)
    grey = np.round(image * 255).astype(np.uint8)
    mask = found.lungs.astype(np.uint8) * np.uint8(255)
    panels = [Image.fromarray(grey), Image.fromarray(mask), draw_overlay(image, found.lungs)]
    width = round(HEIGHT * image.shape[1] / image.shape[0])
    page = Image.new("RGB", (3 * width + 2 * GAP, HEIGHT), "white")
    for number, panel in enumerate(panels):
        page.paste(panel.convert("RGB").resize((width, HEIGHT), Image.Resampling.LANCZOS), (number * (width + GAP), 0))
    page.save(TARGET, quality=85)


if __name__ == "__main__":
    main()
