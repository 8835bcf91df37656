"""Lungs by Mask R-CNN: torchvision's network, with each lung as an instance.

    python benchmarks/baselines/mask_rcnn.py JSRT [--unseen MONTGOMERY ...] [-o runs/baselines]

He et al. 2017, with a ResNet-50 and a feature pyramid, trained from nothing on `train` for 20 epochs in batches of
four, without augmentation, as Table 1 does. Optimiser and learning rate are our choice: AdamW, 2e-4, with a cosine
schedule. The epoch is that of the best mean Dice on `val`. The mask is the union of the two instances of the highest
scores.
"""

import copy
import math
from typing import Any

import numpy as np
from baseline import Example, Predict, mean_dice, require, run

from lungmask_cli.imaging.radiograph import FloatImage, Mask
from lungmask_cli.imaging.sides import split_sides

torch, detection = require("torch"), require("torchvision.models.detection")

EPOCHS, BATCH, RATE = 20, 4, 2e-4


def make_target(lungs: Mask) -> dict[str, Any]:
    """Boxes and masks of both lungs."""
    sides = [side for side in split_sides(lungs) if side.any()]
    boxes = []
    for side in sides:
        rows, columns = (np.flatnonzero(side.any(axis=axis)) for axis in (1, 0))
        boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    return {
        "boxes": torch.tensor(np.array(boxes), dtype=torch.float32),
        "labels": torch.ones(len(sides), dtype=torch.int64),
        "masks": torch.tensor(np.stack(sides), dtype=torch.uint8),
    }


def to_tensor(image: FloatImage) -> Any:
    return torch.tensor(image, dtype=torch.float32).expand(3, -1, -1)


def build(size: int) -> Any:
    """The network for images of size x size pixels. Two lungs need few proposals, which take most of the time."""
    return detection.maskrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=2,
        min_size=size,
        max_size=size,
        rpn_post_nms_top_n_train=200,
        rpn_post_nms_top_n_test=100,
        box_batch_size_per_image=32,
        box_detections_per_img=2,
    )


def predict_with(network: Any) -> Predict:
    def predict(image: FloatImage) -> Mask:
        network.eval()
        with torch.no_grad():
            (found,) = network([to_tensor(image)])
        lungs: Mask = (found["masks"][:, 0] > 0.5).any(dim=0).numpy()
        return lungs

    return predict


def fit(train: list[Example], val: list[Example], seed: int, epochs: int = EPOCHS) -> Predict:
    """Train on `train`, and choose the epoch on `val`."""
    torch.manual_seed(seed)
    network = build(train[0].image.shape[0])
    steps = math.ceil(len(train) / BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
    images, targets = [to_tensor(example.image) for example in train], [make_target(example.lungs) for example in train]
    best, kept = -1.0, copy.deepcopy(network)
    for epoch in range(1, epochs + 1):
        network.train()
        for chosen in torch.randperm(len(train)).split(BATCH):
            losses = network([images[i] for i in chosen], [targets[i] for i in chosen])
            optimizer.zero_grad()
            sum(losses.values()).backward()
            optimizer.step()
            schedule.step()
        dice = mean_dice(predict_with(network), val)
        print(f"epoch {epoch}/{epochs}: val Dice {dice:.4f}", flush=True)
        if dice > best:
            best, kept = dice, copy.deepcopy(network)
    return predict_with(kept)


if __name__ == "__main__":
    run("mask_rcnn", fit)
