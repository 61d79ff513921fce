"""Transferability scores against slow formulas and independent solvers, and what must not change them, on random data."""
import warnings
from functools import partial
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import linprog, minimize
from scipy.stats import ortho_group
from sklearn.covariance import LedoitWolf
from srisc_tl.distances import SCORES, emd, get_scores, knn_probe, linear_probe, nleep, otdd
from srisc_tl.transferability import MeaninglessWarning, gbc, h_score, leep, logme, nce, transrate

some = settings(max_examples=25, deadline=None, derandomize=True)
seeds, regularised, normalised = st.integers(0, 10**6), partial(h_score, regularised=True), partial(transrate, normalise=True)

def sets(n=(8, 40), d=(1, 12)):
    "(features, labels, the generator): each class twice at least, signal of any strength, features of any scale"
    def make(seed, N, D, C, shift, scale):
        r = np.random.default_rng(seed)
        y = np.concatenate([np.repeat(np.arange(C), 2), r.integers(0, C, N - 2*C)])
        return scale*(r.normal(size=(N, D)) + shift*r.normal(size=(C, D))[y]), y, r
    shifts, scales = st.sampled_from([0., .3, 1., 3.]), st.sampled_from([1e-6, 1., 1e6])
    return st.builds(make, seeds, st.integers(*n), st.integers(*d), st.integers(2, 4), shifts, scales)

@some
@given(sets(d=(1, 60)))
def test_logme_is_the_largest_marginal_likelihood(data):
    "Over the prior's and the noise's precision, N > D and N < D: nothing near or far is larger, and the value is reached"
    f, y, r = data
    g = f/np.abs(f).max()
    def loss(x, t):
        "-log N(t; 0, I/b + gg'/a), with a determinant and a solve"
        cov = np.exp(x[1])*np.eye(len(g)) + np.exp(x[0])*g@g.T
        return .5*(np.linalg.slogdet(cov)[1] + t@np.linalg.solve(cov, t) + len(g)*np.log(2*np.pi))
    def least(t):
        "From the best noise for each of many priors: there may be more than one valley"
        starts = [min(((a, b) for b in np.arange(-14., 3)), key=lambda x: loss(x, t)) for a in np.arange(-18., 14, 4)]
        return min(minimize(loss, x, (t,), 'Nelder-Mead', options=dict(xatol=1e-7, fatol=1e-10, maxiter=2000)).fun for x in starts)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        value = logme(f, y)
    assert value == pytest.approx(np.mean([-least((y == c).astype(float)) for c in np.unique(y)])/len(y), abs=1e-6)

@some
@given(sets(n=(20, 40), d=(1, 4)), st.sampled_from([1, 30]))
def test_h_scores_are_traces(data, wide):
    "As published: pseudo-inverse of the covariance, and scikit-learn's Ledoit-Wolf"
    f, y, r = data
    f = f/np.abs(f).max()
    f = f if wide == 1 else np.hstack([f, .3*r.normal(size=(len(f), wide))])
    means = np.stack([f[y == c].mean(0) for c in y])
    between, lw = np.atleast_2d(np.cov(means.T)), LedoitWolf().fit(f)
    if wide == 1: assert h_score(f, y) == pytest.approx(np.trace(np.linalg.pinv(np.atleast_2d(np.cov(f.T)))@between), abs=1e-9)
    assert regularised(f, y) == pytest.approx((1 - lw.shrinkage_)*np.trace(np.linalg.pinv(lw.covariance_)@between), abs=1e-8)

@some
@given(sets())
def test_gbc_pair_by_pair(data):
    f, y, _ = data
    for kind in ('diagonal', 'spherical', 'isotropic'):
        m, v, total = {}, {}, 0.
        for c in range(y.max() + 1):
            m[c], var = f[y == c].mean(0), np.maximum(f[y == c].var(0), 1e-4*f.var(0).mean())
            v[c] = var if kind == 'diagonal' else var.mean()*np.ones(1 if kind == 'spherical' else f.shape[1])
        for a in m:
            for b in m:
                mean = (v[a] + v[b])/2
                far = ((m[a] - m[b])**2/mean).sum()/8 + .5*np.log(mean).sum() - .25*np.log(v[a]).sum() - .25*np.log(v[b]).sum()
                total -= np.exp(-far)*(a != b)
        assert gbc(f, y, kind) == pytest.approx(total, abs=1e-9)

@some
@given(seeds, st.integers(4, 40), st.integers(1, 8), st.integers(2, 4), st.sampled_from([.1, 1., 10.]))
def test_leep_and_nce(seed, N, S, C, sharp):
    "LEEP as its double sum; NCE as the entropy of Y within each Z; equal where predictions are one-hot; classes nobody sees add nothing"
    r = np.random.default_rng(seed)
    y, p = np.concatenate([[0, 0, 1], r.integers(0, C, N - 3)]), np.exp(sharp*r.normal(size=(N, S)))
    p /= p.sum(1, keepdims=True)
    joint = np.stack([p[y == c].sum(0) for c in range(C)])
    each = [np.log(sum(p[i, z]*joint[y[i], z]/joint[:, z].sum() for z in range(S))) for i in range(N)]
    assert leep(p, y) == pytest.approx(np.mean(each), abs=1e-10)
    z = p.argmax(1)
    share = [np.mean(y[z == z[i]] == y[i]) for i in range(N)]
    if np.bincount(z).max() > 1:
        assert nce(p, y) == pytest.approx(np.log(share).mean(), abs=1e-10) and leep(np.eye(S)[z], y) == pytest.approx(nce(p, y), abs=1e-10)
        assert nce(np.hstack([p, np.zeros((N, 2))]), y) == pytest.approx(nce(p, y), abs=1e-12)
    assert leep(np.hstack([np.zeros((N, 2)), p]), y) == pytest.approx(leep(p, y), abs=1e-12)

@some
@given(seeds, st.integers(1, 8), st.integers(1, 8), st.integers(1, 5))
def test_emd_is_the_linear_programme(seed, S, T, D):
    r = np.random.default_rng(seed)
    mu_s, mu_t, w_s, w_t = r.normal(size=(S, D)), r.normal(size=(T, D)), r.integers(0, 9, S) + (np.arange(S) == 0), r.integers(1, 9, T)
    sums = np.vstack([np.kron(np.eye(S), np.ones(T)), np.kron(np.ones(S), np.eye(T))])
    cost = np.linalg.norm(mu_s[:, None] - mu_t, axis=2).ravel()
    assert emd(mu_s, w_s, mu_t, w_t) == pytest.approx(linprog(cost, A_eq=sums, b_eq=[*w_s/w_s.sum(), *w_t/w_t.sum()]).fun, abs=1e-8)

ROUND = dict(logme=logme, h_score=h_score, regularised=regularised, gbc=gbc, isotropic=partial(gbc, kind='isotropic'),
             normalised=normalised)
EACH = {**ROUND, 'diagonal': partial(gbc, kind='diagonal')}

@some
@given(sets(n=(30, 50), d=(2, 6)))
def test_what_does_not_matter(data):
    "Rotation of the features, names and order of classes, order of images, a shift (but LogME has no intercept), a scale"
    f, y, r = data
    C, order = y.max() + 1, r.permutation(len(y))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', MeaninglessWarning)
        base = {k: pytest.approx(fn(f, y), rel=1e-7, abs=1e-7, nan_ok=True) for k, fn in EACH.items()}
        turn = ortho_group.rvs(f.shape[1], random_state=r)
        names, renamed = np.array(['scratch', 'dent', 'stain', 'ok', 'void'])[r.permutation(5)], r.permutation(C)*7 - 3
        for k, fn in EACH.items():
            if k in ROUND: assert fn(f@turn, y) == base[k], k
            assert fn(f, names[y]) == base[k] and fn(f, renamed[y]) == base[k] and fn(f[order], y[order]) == base[k], k
            if k != 'logme': assert fn(f + np.abs(f).max(), y) == base[k], k
            assert fn(1e3*f, y) == base[k] and fn(1e-3*f, y) == base[k], k

@some
@given(sets(n=(20, 30), d=(2, 40)))
def test_otdd_is_a_distance_between_sets(data):
    "0 to itself, symmetric, the same for turned sets, not under the earth mover's distance of bare images, and the triangle holds"
    f, y, r = data
    f = f/np.abs(f).max()
    g, h = f + r.normal(size=f.shape[1]), f[::2]*2
    turn = ortho_group.rvs(f.shape[1], random_state=r)
    there = otdd(f, y, g, y)
    assert otdd(f, y, f, y) < 1e-6 and otdd(g, y, f, y) == pytest.approx(there) and otdd(f@turn, y, g@turn, y) == pytest.approx(there)
    assert there == pytest.approx(2**.5*np.linalg.norm((g - f)[0])) and there <= otdd(f, y, h, y[::2]) + otdd(h, y[::2], g, y) + 1e-9

ODD = 'ties', 'constant', 'one-hot', 'twice', 'uneven', 'float16'

@settings(max_examples=40, deadline=None, derandomize=True)
@given(seeds, st.integers(1, 24), st.integers(1, 10), st.integers(1, 4), st.sampled_from(ODD))
def test_a_number_or_a_reason(seed, N, D, C, odd):
    "On odd arrays every score is a finite float, or NaN with its warning; never infinite, never a warning of numpy's, nor an exception"
    r = np.random.default_rng(seed)
    y, f = r.integers(0, C, N)*3, r.normal(size=(N, D))
    f = {'ties': f.round(), 'constant': 0*f + .1, 'one-hot': np.eye(C)[y//3], 'twice': f[np.arange(N)//2],
         'uneven': f*10.**r.integers(-6, 6, D), 'float16': f.astype(np.float16)}[odd]
    p = np.eye(5)[r.integers(0, 4, N)] if odd == 'one-hot' else np.full((N, 5), .2)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        got = get_scores(f=f, y=y, p=p, f_s=f[::-1], y_s=y)
    reasons = [w for w in said if w.category is MeaninglessWarning]
    assert len(reasons) == got.isna().sum() and not np.isinf(got).any() and list(got.index) == list(SCORES)
    assert not [w for w in said if w.category is RuntimeWarning]
    assert {str(w.message).split()[0] for w in reasons} <= set(SCORES)

def test_probes_and_clusters_repeat():
    r = np.random.default_rng(0)
    y = np.arange(90) % 3
    f = r.normal(size=(90, 6)) + r.normal(size=(3, 6))[y]
    for fn in (linear_probe, knn_probe, nleep): assert fn(f, y) == fn(f, y) and isinstance(fn(f, y), float)
    assert linear_probe(f, y, seed=1) != linear_probe(f, y, seed=2) or knn_probe(f, y, seed=1) != knn_probe(f, y, seed=2)
    assert all(isinstance(v, float) for v in (logme(f, y), h_score(f, y), regularised(f, y), gbc(f, y), transrate(f, y)))
