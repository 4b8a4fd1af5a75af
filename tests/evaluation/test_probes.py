"""Probes against scikit-learn and known linear maps."""

from __future__ import annotations

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge

from xactor_jax.evaluation import probes


def test_ridge_is_scikit_learns(rng):
    z, y = rng.normal(size=(60, 5)) + 3, rng.normal(size=(60, 2))
    probe = probes.fit_ridge(z, y, 0.1)
    oracle = Ridge(alpha=0.1 * 60).fit(z, y)
    np.testing.assert_allclose(probe(z), oracle.predict(z), rtol=1e-8)


def test_each_target_gets_its_own_strength(rng):
    weights = rng.normal(size=20)
    z, held = rng.normal(size=(40, 20)), rng.normal(size=(400, 20))
    clean, noise = z @ weights, rng.normal(size=40)
    chosen = probes.choose_strengths(z, np.stack([clean, noise], 1), held, np.stack([held @ weights, rng.normal(size=400)], 1))
    assert chosen[0] < 1e-3 and chosen[1] == max(probes.STRENGTHS)


def test_controls_are_read_from_people_never_seen(rng):
    mixing = rng.normal(size=(3, 16))

    def people(n):
        y = rng.normal(size=(n, 3))
        return y @ mixing + 0.01 * rng.normal(size=(n, 16)), y

    probe = probes.fit_controls(*people(200), *people(100))
    z, y = people(50)
    np.testing.assert_allclose(probe(z), y, atol=0.1)


def test_logistic_regression_is_scikit_learns(rng):
    classes = rng.integers(0, 4, 300)
    z = rng.normal(size=(4, 6))[classes] + rng.normal(size=(300, 6))
    scaled = (z - z.mean(0)) / z.std(0)
    probe = probes.fit_logistic(z, classes, 4, strength=1e-2, steps=3000)
    oracle = LogisticRegression(C=1 / (1e-2 * 300), tol=1e-10, max_iter=10_000).fit(scaled, classes)
    expected = oracle.decision_function(scaled)
    scores = probe.scores(z)
    np.testing.assert_allclose(scores - scores.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=1e-4)
    assert probe.accuracy(z, classes) == oracle.score(scaled, classes)


def test_people_cannot_be_recognised_from_noise(rng):
    classes = np.repeat(np.arange(10), 100)
    probe = probes.fit_logistic(rng.normal(size=(1000, 8)), classes, 10)
    assert probe.accuracy(rng.normal(size=(1000, 8)), classes) < 0.2


def test_fishers_probe_is_scikit_learns(rng):
    classes = np.arange(90) % 3
    z = rng.normal(size=(3, 6))[classes] + rng.normal(size=(90, 6)) @ rng.normal(size=(6, 6))
    probe = probes.fit_fisher(z, classes, 3, shrinkage=0.2)
    means = np.stack([z[classes == c].mean(0) for c in range(3)])
    covariance = (z - means[classes]).T @ (z - means[classes]) / 90
    shrunk = 0.8 * covariance + 0.2 * np.trace(covariance) / 6 * np.eye(6)

    class Shrunk:
        def fit(self, x):
            self.covariance_ = shrunk
            return self

    oracle = LinearDiscriminantAnalysis(solver="lsqr", priors=[1 / 3] * 3, covariance_estimator=Shrunk()).fit(z, classes)
    ours, theirs = probe.scores(z), z @ oracle.coef_.T + oracle.intercept_
    np.testing.assert_allclose(ours - ours[:, :1], theirs - theirs[:, :1], rtol=1e-6, atol=1e-6)
