"""The radial power spectrum: Parseval, where a wave shows up, blur and grain."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genlab import data
from genlab.data.augmentation import blurred
from genlab.evaluation import metrics

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("side", [7, 8, 28])
def test_parseval(side: int) -> None:
    """The rings sum to the mean squared pixel, since this wave has no power in the corners that they leave out."""
    x = np.zeros((1, 1, side, side))
    x[0, 0] = 0.5 + 0.3 * np.cos(2 * np.pi * np.arange(side) * 2 / side)[None, :]
    spectrum = metrics.power_spectrum(x)
    assert spectrum.shape == (1, side // 2 + 1)
    assert spectrum.sum() == pytest.approx((x**2).mean(), rel=1e-9)
    assert spectrum[0, 0] == pytest.approx(0.25)
    assert spectrum[0, 2] == pytest.approx(0.3**2 / 2)


def test_is_the_full_transform_by_rings() -> None:
    x = RNG.random((3, 2, 9, 9))
    power = np.abs(np.fft.fft2(x)) ** 2 / 9**4
    f = np.fft.fftfreq(9) * 9
    ring = np.rint(np.hypot(f[:, None], f[None])).astype(int)
    expected = np.stack([power[:, :, ring == r].sum(-1).mean(1) for r in range(5)], axis=1)
    assert metrics.power_spectrum(x) == pytest.approx(expected)
    assert metrics.frequencies(9) == pytest.approx(np.arange(5) / 9)


def test_a_wave_lies_in_its_band() -> None:
    x = 0.5 + 0.4 * np.cos(2 * np.pi * np.arange(28) * 6 / 28)[None, None, :, None] * np.ones((1, 1, 28, 28))
    spectra = metrics.power_spectrum(x)
    assert metrics.band_power(spectra, 28, metrics.DETAIL)[0] == pytest.approx(0.08)  # 6/28 = .214
    assert metrics.band_power(spectra, 28, metrics.GRAIN)[0] == pytest.approx(0, abs=1e-12)


def test_blur_takes_detail_and_noise_adds_grain() -> None:
    real = data.load("mnist", "test").images[:500] / np.float32(255)

    def ratios(images: object) -> tuple[float, float]:
        found = [metrics.power_spectrum(np.asarray(x)) for x in (images, real)]
        detail, grain = (
            [metrics.band_power(s, 28, band).mean() for s in found] for band in (metrics.DETAIL, metrics.GRAIN)
        )
        return detail[0] / detail[1], grain[0] / grain[1]

    assert ratios(real) == pytest.approx((1, 1))
    soft = [ratios(blurred(torch.from_numpy(real), torch.full((500,), s)).numpy()) for s in (0.5, 0.75, 1.0)]
    assert 0.8 > soft[0][0] > soft[1][0] > soft[2][0]
    grainy = [ratios(real + s * RNG.normal(size=real.shape)) for s in (0.05, 0.1, 0.2)]
    assert 1.2 < grainy[0][1] < grainy[1][1] < grainy[2][1]
    assert grainy[1][1] - 1 > 3 * (grainy[1][0] - 1)  # noise shows mostly in the finest band


def test_a_band_has_its_frequencies_and_no_others() -> None:
    """A wave of k cycles per 28 pixels has all its power in the bands that contain k / 28, both ends included."""
    across = np.arange(28)
    for k in range(1, 15):
        wave = 0.5 + 0.4 * np.cos(2 * np.pi * k * across / 28)
        power = metrics.power_spectrum(np.broadcast_to(wave, (1, 1, 28, 28)))
        for band in (metrics.DETAIL, metrics.GRAIN, (k / 28, k / 28)):
            inside = band[0] <= k / 28 <= band[1]
            share = metrics.band_power(power, 28, band)[0] / metrics.band_power(power, 28, (1 / 28, 0.5))[0]
            assert share == pytest.approx(float(inside), abs=1e-9)
