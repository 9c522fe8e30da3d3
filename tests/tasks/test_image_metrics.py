"""Image metrics against literal transcriptions."""

import math

import numpy as np
import pytest
import torch

from relrep_exp.tasks.image_metrics import BLOCK, image_metrics, image_mse, variance
from relrep_exp.tasks.pictures import strip


def images(n, size, channels=1, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, size, size), generator=g, dtype=torch.uint8)


def noisy(truth):
    g = torch.Generator().manual_seed(1)
    clean = truth.float() / 255
    return (clean + 0.2 * torch.randn(clean.shape, generator=g)).clamp(0, 1)


def literal_ssim(a, b, weights):
    """Mean of the structural similarity over all pixels, the images mirrored at their edges."""
    k, size = len(weights), a.shape[-1]
    edges = ((0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2))
    a, b = np.pad(a, edges, mode="reflect"), np.pad(b, edges, mode="reflect")
    found = []
    for y in range(size):
        for x in range(size):
            p, q = (image[:, :, y : y + k, x : x + k] for image in (a, b))
            mp, mq = (p * weights).sum((2, 3)), (q * weights).sum((2, 3))
            vp, vq = (p * p * weights).sum((2, 3)) - mp**2, (q * q * weights).sum((2, 3)) - mq**2
            cov = (p * q * weights).sum((2, 3)) - mp * mq
            top = (2 * mp * mq + 0.01**2) * (2 * cov + 0.03**2)
            found.append(top / ((mp**2 + mq**2 + 0.01**2) * (vp + vq + 0.03**2)))
    return float(np.mean(found))


def gaussian():
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    return np.outer(line, line) / line.sum() ** 2


@pytest.mark.parametrize(
    ("size", "weights"),
    [(16, gaussian()), (8, gaussian()), (5, np.full((5, 5), 1 / 25)), (4, np.full((3, 3), 1 / 9))],
)
def test_all_three_against_numpy(size, weights):
    truth = images(6, size)
    drawn = noisy(truth)
    found = image_metrics(lambda x: x, drawn, truth)
    a, b = drawn.double().numpy(), truth.double().numpy() / 255
    mse = float(np.mean((a - b) ** 2))
    assert found["mse"] == pytest.approx(mse, rel=1e-5)
    assert found["psnr"] == pytest.approx(10 * math.log10(1 / mse), rel=1e-5)
    assert found["ssim"] == pytest.approx(literal_ssim(a, b, weights), abs=1e-4)


def test_blocks_change_nothing():
    truth = images(BLOCK + 3, 4, channels=3)
    drawn = noisy(truth)
    whole = image_metrics(lambda x: x, drawn, truth)
    assert image_mse(lambda x: x, drawn, truth) == whole["mse"]
    assert whole["mse"] == pytest.approx(float((drawn - truth.float() / 255).square().mean()), rel=1e-5)


def test_perfect_images_score_perfectly():
    truth = images(3, 12)
    found = image_metrics(lambda x: x, truth.float() / 255, truth)
    assert found["mse"] == 0 and found["psnr"] == math.inf and found["ssim"] == pytest.approx(1.0)


def test_the_floor_is_the_error_of_the_mean_training_image():
    train, test = images(30, 5), images(20, 5, seed=2)
    mean = train.double().numpy().mean(0) / 255
    assert variance(train, test) == pytest.approx(np.mean((test.double().numpy() / 255 - mean) ** 2))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_strip_holds_the_very_pixels(channels):
    from relrep_exp.report.figures.style import pixels

    pictures = images(4, 6, channels)
    found = pixels(strip(pictures)).reshape(6, 4, 6, channels)
    assert np.array_equal(found.transpose(1, 3, 0, 2), pictures.numpy())
