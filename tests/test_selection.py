"""Which source for this target: every score and every selector in every bad hand, the planted near copy, drawn frequencies, SOSELETO's toy.

Golden values, LogME by its definition, the contest of 40 images in 512 dimensions and what must not change a score are asserted by the pages
08 and 08a and by test_scores.py; speeds by benchmarks/scores.py and features.py."""
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import chisquare
from srisc_tl.convention import DataError
from srisc_tl.distances import NEEDS, SCORES, get_scores
from srisc_tl.transferability import MeaninglessWarning

some = settings(max_examples=50, deadline=None, derandomize=True)

# ---- scores: bad input → what each gives

N, D, C, S = 60, 8, 3, 5

def good():
    "Features and probabilities with three classes in them, of a target and of a source"
    r = np.random.default_rng(0)
    y, p = np.arange(N) % C, r.normal(size=(N, S))
    f = r.normal(size=(N, D)) + 2*np.eye(C, D)[y]
    p[np.arange(N), y] += 1.5
    p = np.exp(p)/np.exp(p).sum(1, keepdims=True)
    return dict(f=f, y=y, p=p, f_s=f[::-1] + r.normal(size=D), y_s=y[::-1])

GOOD, NONE, ALL = good(), 'NaN', tuple(SCORES)
ON = {k: tuple(s for s in SCORES if SCORES[s].needs == k) for k in NEEDS}
FIT = tuple(s for s in ALL if SCORES[s].needs != 'sets')                # those that read the target's labels for what they tell
LABELS = [-np.log(C)]                                                  # -H(Y): nothing is seen
def each(names, what): return dict.fromkeys(names, what)
def finite(value, was): return np.isfinite(value)
def same(value, was): return value == pytest.approx(was, abs=1e-9)
def near(value, was): return value == pytest.approx(was, abs=.04)       # neighbours at one distance may change places
def times(c): return lambda value, was: value == pytest.approx(c*was, rel=1e-9)
def is_(x): return lambda value, was: value == pytest.approx(x, abs=1e-9)
def less(value, was): return np.isfinite(value) and value < was
def both(**change): return {k: change['g'](v) for k, v in GOOD.items() if k in ('f', 'f_s')}

SCALED = {**each(FIT, same), **each(('nleep', 'linear_probe', 'knn_probe'), near)}
TWICE = {k: np.repeat(v, 2, axis=0) for k, v in GOOD.items()}
WIDE = dict(f=(w := np.random.default_rng(1).normal(size=(20, 64))).repeat(2, 0), y=(np.arange(20) % C).repeat(2), p=GOOD['p'][:20].repeat(2, 0),
            f_s=w, y_s=np.arange(20) % C)
BROKEN = lambda x, v: np.where(np.arange(x.size).reshape(x.shape) == 19, v, x)

SCORE_CASES = { # change of the good arrays; by score: NaN with its warning, the text of a DataError, or what the value must fulfil beside the good one
    'an index without images': (dict(y=10*GOOD['y'] + 3, y_s=7*GOOD['y_s']), each(ALL, same)),
    'one class only': (dict(y=0*GOOD['y']), {**each(FIT, NONE), **each(ON['sets'], finite)}),
    'one source class only': (dict(y_s=0*GOOD['y_s']), {**each(FIT, same), **each(ON['sets'], finite)}),
    'a class of one image': (dict(y=np.r_[GOOD['y'][:-1], 9]), {**each(ALL, finite),
                             **each(('gbc', 'gbc_diagonal', 'transrate', 'linear_probe', 'knn_probe'), NONE)}),
    'no class of two images': (dict(y=np.arange(N)), {**each(FIT, NONE), **each(ON['sets'], finite)}),
    'constant features': (both(g=np.ones_like), dict(logme=less, h_score=is_(0), h_score_regularised=is_(0), gbc=is_(-C*(C - 1)),
                          gbc_diagonal=is_(-C*(C - 1)), transrate=is_(0), nleep=is_(*LABELS), linear_probe=is_(1/C), knn_probe=is_(1/C),
                          leep=same, nce=same, emd=is_(0), otdd=is_(0))),
    'constant predictions': (dict(p=np.full((N, S), 1/S)), {**each(ALL, same), **each(('leep', 'nce'), is_(*LABELS))}),
    'each feature twice': (both(g=lambda v: np.hstack([v, v])), {**each(ALL, finite), **each(('logme', 'h_score', 'leep', 'nce'), same),
                           **each(('emd', 'otdd'), times(2**.5)), 'knn_probe': near}),
    'each image twice': (TWICE, {**each(ALL, same), **each(('logme', 'h_score_regularised', 'nleep', 'linear_probe', 'knn_probe'), finite)}),
    'each of few images twice': (WIDE, {**each(ALL, finite), **each(('logme', 'h_score', 'transrate', 'nleep'), NONE)}),
    'scale 1e6': (both(g=lambda v: 1e6*v), {**SCALED, **each(ON['sets'], times(1e6))}),
    'scale 1e-6': (both(g=lambda v: 1e-6*v), {**SCALED, **each(ON['sets'], times(1e-6))}),
    'NaN in a feature': (dict(f=BROKEN(GOOD['f'], np.nan)), {**each(ALL, 'of 1 of 60 images hold NaN'), **each(('leep', 'nce'), same)}),
    'infinity in a source feature': (dict(f_s=BROKEN(GOOD['f_s'], np.inf)), {**each(FIT, same), **each(ON['sets'], 'hold NaN or infinity')}),
    'NaN in a probability': (dict(p=BROKEN(GOOD['p'], np.nan)), {**each(ALL, same), **each(('leep', 'nce'), 'probabilities of 1 of 60')}),
    'a missing label': (dict(y=np.where(np.arange(N) == 4, np.nan, GOOD['y'])), each(ALL, '1 of 60 labels are missing, the first at row 4')),
    'source classes of probability 0': (dict(p=np.insert(GOOD['p'], [0, 3], 0, axis=1)), each(ALL, same)),
    'an image of probability 0': (dict(p=GOOD['p']*(np.arange(N) != 7)[:, None]), {**each(ALL, same), **each(('leep', 'nce'), 'do not sum to one')}),
    'logits': (dict(p=np.log(GOOD['p'])), {**each(ALL, same), **each(('leep', 'nce'), 'logits want a softmax')}),
    'an empty target': ({k: GOOD[k][:0] for k in ('f', 'y', 'p')}, each(ALL, 'have shape (0, ')),
    'an empty source': ({k: GOOD[k][:0] for k in ('f_s', 'y_s')}, {**each(FIT, same), **each(ON['sets'], 'have shape (0, ')}),
    'labels of other images': (dict(y=GOOD['y'][:-1]), each(ALL, 'labels have shape (59,): 60 images want (60,)')),
}

def score(name, arrays):
    "(value or the error's text, warnings)"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        try: value = get_scores([name], **{k: arrays[k] for k in NEEDS[SCORES[name].needs]})[name]
        except DataError as e: value = str(e)
    return value, said

@pytest.mark.parametrize('name', ALL)
@pytest.mark.parametrize('case', SCORE_CASES)
def test_a_score_in_bad_hands(case, name):
    "NaN only with its warning, and a warning only with NaN; else the value that is right there, or an error that says what is wrong"
    change, wants = SCORE_CASES[case]
    (value, said), was, want = score(name, {**GOOD, **change}), score(name, GOOD)[0], wants[name]
    if want is NONE: assert np.isnan(value) and [w.category for w in said] == [MeaninglessWarning] and name.startswith(str(said[0].message).split()[0])
    else: assert not [str(w.message) for w in said]
    if want is not NONE and isinstance(want, str): assert isinstance(value, str) and want in value
    elif want is not NONE: assert isinstance(value, float) and want(value, was), (value, was)

# ---- selectors: bad input → weights or an error

OPTS = dict(uniform={}, random={}, random_items={}, human=dict(classes=['c']), ngiam={}, emd=dict(k=2),
            gabor=dict(k=4, size=32), soseleto=dict(lr=.1, alpha_lr=5., epochs=60))
SETS, PER_CLASS = 'abcd', 10

def corpus(name, cls, rows=None):
    from srisc_tl.build import Corpus
    rows = np.arange(len(cls)) if rows is None else rows
    items = pd.DataFrame(dict(cls=np.asarray(cls, str), dataset=[c[0] for c in cls], industry=[c[0] for c in cls], label=[c[-1] for c in cls]))
    return Corpus(items.assign(path=[f'{name}/{i}' for i in rows], sha256=[f'{name}{i}' for i in rows], root='/', row=rows), name, {})

def world():
    "Four invented sets of two classes each, and a target that looks like the third of them: in features, in predictions, in textures"
    import torch
    from scipy.ndimage import gaussian_filter
    from srisc_tl.backbone import Checkpoint
    r = np.random.default_rng(0)
    classes = [f'{d}/{c}' for d in SETS for c in 'xy']
    y = {'source': np.repeat(np.arange(8), PER_CLASS), 'target': np.repeat([4, 5], 8)}                       # the target: like c/x and c/y
    centre, head = 3*r.normal(size=(8, 16)), r.normal(size=(8, 8)) + 4*np.eye(8)
    smooth = dict(a=(3, 3), b=(0, 0), c=(0, 6), d=(1, 1))
    surface = lambda c: (v := gaussian_filter(r.normal(size=(32, 32)), smooth[classes[c][0]], mode='wrap'))/v.std()*.1 + .5
    soft = lambda z: np.exp(z)/np.exp(z).sum(1, keepdims=True)
    w = dict(f={k: centre[v] + r.normal(size=(len(v), 16)) for k, v in y.items()}, p={k: soft(head[v] + .3*r.normal(size=(len(v), 8))) for k, v in y.items()},
             x={k: torch.tensor(np.stack([surface(c) for c in v]), dtype=torch.float32)[:, None].repeat(1, 3, 1, 1) for k, v in y.items()})
    ckpt = Checkpoint(Path('ckpt'), dict(classes=classes, stages=[]))
    return dict(w, source=corpus('source', [classes[c] for c in y['source']]), target=corpus('target', ['t/' + 'uv'[c - 4] for c in y['target']]), ckpt=ckpt)

def choose(selector, w, monkeypatch):
    "What a selector chooses in a world, without a model or a file: weights, or an error's text"
    import srisc_tl.domain_similarity, srisc_tl.gabor, srisc_tl.importance, srisc_tl.soseleto
    from srisc_tl.features import Features
    from srisc_tl.selection import select
    def see(ckpt, c, out=None, size=None):
        if ckpt is None: raise DataError('from scratch there is none')
        at, p = c.items['row'].to_numpy(), w['p'][c.name]
        return Features(w['f'][c.name][at].astype(np.float32), p[at].astype(np.float32) if ckpt.classes else None, c.items['cls'].to_numpy(), ckpt.classes)
    for m in (srisc_tl.domain_similarity, srisc_tl.gabor, srisc_tl.importance, srisc_tl.soseleto): monkeypatch.setattr(m, 'features', see)
    monkeypatch.setattr(srisc_tl.gabor, 'pixels', lambda c, size: [(w['x'][c.name][np.array(c.items['row'])], None)])
    try: return select(selector, w['source'], w['target'], w['ckpt'], 0, **OPTS[selector])
    except DataError as e: return str(e)

def keep(c, wanted): return replace(c, items=c.items[wanted(c.items)].reset_index(drop=True))
def on(w, key, g): return {key: {k: g(v) for k, v in w[key].items()}}
def spoil(key, side): return lambda w: {key: {**w[key], side: BROKEN(w[key][side], np.nan)}}
def as_was(w, v, was): return np.allclose(v, was)
def like_it(w, v, was): return np.allclose(v, was, atol=1e-3)
def on_c(w, v, was):
    from srisc_tl.importance import mean_weights
    return mean_weights(v, w['source'], 'dataset').idxmax() == 'c'
def whole(w, v, was): return np.ptp(v) == 0
def sums(w, v, was): return np.isclose((w['source'].class_share*v).sum(), 1)
def none_for(c): return lambda w, v, was: sums(w, v, was) and v[c] == 0 and v.drop(c).min() > 0

BLIND = 'uniform', 'random', 'random_items', 'human'
def seeing(**wants): return {**each(BLIND, as_was), **wants}

SELECTOR_CASES = { # change of the world; by selector: the text of an error, or what weights must fulfil beside those of the good world; else only lawful
    'good': (lambda w: {}, {**each(('human', 'ngiam', 'emd', 'gabor', 'soseleto'), on_c), 'uniform': whole}),
    'a source class without images': (lambda w: dict(source=keep(w['source'], lambda t: t['cls'] != 'a/x')),
                                      dict(human=on_c, ngiam=sums, emd=on_c, gabor=on_c)),
    'a target class without images': (lambda w: dict(target=replace(w['target'], items=w['target'].items.assign(
                                      cls=pd.Categorical(w['target'].items['cls'], ['t/u', 't/void', 't/v'])))), each(OPTS, as_was)),
    'one source class only': (lambda w: dict(source=keep(w['source'], lambda t: t['cls'] == 'c/y')),
                              dict(uniform=whole, human=whole, ngiam=whole, emd=whole, soseleto=whole)),
    'one target class only': (lambda w: dict(target=keep(w['target'], lambda t: t['cls'] == 't/u')),
                              seeing(ngiam=on_c, emd=lambda w, v, was: v['c/x'] == 1, gabor=on_c, soseleto=whole)),
    'one target image': (lambda w: dict(target=keep(w['target'], lambda t: t.index == 3)), seeing(ngiam=on_c, gabor=on_c, soseleto=whole)),
    'constant': (lambda w: {k: v for key in 'fpx' for k, v in on(w, key, lambda a: 0*a + a[:1]).items()},
                 seeing(ngiam=lambda w, v, was: np.allclose(v, 8*w['p']['target'][0]), emd='none is nearer', gabor='none is nearer', soseleto=whole)),
    'each source image twice': (lambda w: dict(source=corpus('source', w['source'].items['cls'].repeat(2), w['source'].items['row'].repeat(2).to_numpy())),
                                dict(ngiam=as_was, emd=as_was, gabor=on_c)),
    'scale 1e6': (lambda w: on(w, 'f', lambda v: 1e6*v), seeing(ngiam=as_was, emd=as_was, gabor=as_was, soseleto=like_it)),
    'scale 1e-6': (lambda w: on(w, 'f', lambda v: 1e-6*v), seeing(ngiam=as_was, emd=as_was, gabor=as_was, soseleto=like_it)),
    'NaN in the source': (spoil('f', 'source'), seeing(ngiam=as_was, emd='not finite', gabor=as_was, soseleto='not finite')),
    'NaN in the target': (spoil('f', 'target'), seeing(ngiam=as_was, emd='not finite', gabor='not finite', soseleto='not finite')),
    'NaN in a prediction': (spoil('p', 'target'), seeing(ngiam='must be finite', emd=as_was, gabor=as_was, soseleto=as_was)),
    'a source class of probability 0': (lambda w: on(w, 'p', lambda v: v*(np.arange(8) != 2)), seeing(ngiam=none_for('b/x'), emd=as_was, gabor=as_was)),
    'no probability for any class': (lambda w: on(w, 'p', lambda v: 0*v), seeing(ngiam='must be finite', emd=as_was, gabor=as_was)),
    'a head of other classes': (lambda w: dict(ckpt=replace(w['ckpt'], record=dict(classes=['n01', 'n02'], stages=[]))),
                                seeing(ngiam='was not trained on 8 class(es)', emd=as_was, gabor=as_was)),
    'no head': (lambda w: dict(ckpt=replace(w['ckpt'], record=dict(classes=None, stages=[]))),
                seeing(ngiam='was not trained on 8 class(es)', emd=as_was, gabor=as_was)),
    'no checkpoint': (lambda w: dict(ckpt=None), seeing(ngiam='it cannot name them', emd='from scratch', gabor=on_c, soseleto='from scratch')),
    'an empty target': (lambda w: dict(target=keep(w['target'], lambda t: t['cls'] == '')), each(OPTS, 'target has no image')),
    'an empty source': (lambda w: dict(source=keep(w['source'], lambda t: t['cls'] == '')), each(OPTS, 'source has no image')),
}

CHOSEN = {} # in the good world

def lawful(weights, source):
    "Whether weights are fit for a sampler: what it draws, what they cost, none of it NaN"
    from srisc_tl.corpus import draw, item_weights
    from srisc_tl.importance import distance_from_uniform, effective_sample_size, mean_weights
    w = item_weights(source, weights)
    assert np.isfinite(w).all() and w.min() >= 0 < w.max() and w.shape == (len(source),)
    assert 1 - 1e-9 <= effective_sample_size(weights, source) <= len(source) + 1e-9 and 0 <= distance_from_uniform(weights, source) < 1
    assert mean_weights(weights, source).notna().all()
    for replacement in (False, True):
        drawn = np.bincount(draw(w, 1000, np.random.default_rng(0), replacement), minlength=len(w))
        assert drawn.sum() == 1000 and not drawn[w == 0].any()

@pytest.mark.parametrize('selector', OPTS)
@pytest.mark.parametrize('case', SELECTOR_CASES)
def test_a_selector_in_bad_hands(case, selector, monkeypatch):
    "Weights that a sampler can draw by, and that are right where one can say what is right; or an error that says what is wrong"
    w, (change, wants) = world(), SELECTOR_CASES[case]
    was = CHOSEN[selector] = CHOSEN[selector] if selector in CHOSEN else choose(selector, w, monkeypatch)
    w.update(change(w))
    got, want = choose(selector, w, monkeypatch), wants.get(selector)
    if isinstance(want, str): assert isinstance(got, str) and want in got, got
    else:
        assert not isinstance(got, str), got
        lawful(got, w['source'])
        if want: assert want(w, got, was), (got, was)

def test_all_published_selectors_are_here():
    from srisc_tl.selection import SELECTORS
    assert set(OPTS) <= set(SELECTORS)

shares = st.lists(st.floats(1e-9, 1), min_size=1, max_size=12)

@some
@given(shares, st.integers(0, 10**6), st.sampled_from([.2, 1., 5.]), st.sampled_from([1e-300, 1e-6, 1., 1e6]))
def test_importance_weights_sum_to_one(ps, seed, temperature, scale):
    "Σ P_s·w = 1 whatever the target sees; P_t itself by w·P_s at T = 1; nothing for what it does not see; P_t of any scale"
    from srisc_tl.importance import importance_weights
    r = np.random.default_rng(seed)
    ps, pt = np.divide(ps, np.sum(ps)), r.random(len(ps))*(r.random(len(ps)) < .7)
    pt[r.integers(len(ps))] = 1.
    w = importance_weights(scale*pt, ps, temperature)
    assert (ps*w).sum() == pytest.approx(1, abs=1e-9) and ((w == 0) == (pt == 0)).all() if temperature >= 1 else np.isfinite(w).all()
    if temperature == 1: assert np.allclose(ps*w, pt/pt.sum())

# ---- on images: the planted near copy, and what is drawn

SURFACES = dict(cast=(3, 3), brushed=(0, 8), woven=(1, 1), sand=(0, 0))

@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "Corpora of four invented surfaces, two classes by brightness in each, and of a near copy of each (dimmer, with noise, other images); ImageNet's weights"
    from PIL import Image
    from scipy.ndimage import gaussian_filter
    from srisc_tl.build import build_corpus
    from srisc_tl.consolidate import load_zoo
    from srisc_tl.convention import file_sha256, items_frame
    from srisc_tl.imagenet import imagenet_checkpoint
    from srisc_tl.voc import save_voc
    tmp, r = tmp_path_factory.mktemp('planted'), np.random.default_rng(0)
    for name, smooth in [*SURFACES.items(), *((f'{k}-copy', v) for k, v in SURFACES.items())]:
        (tmp/name).mkdir()
        rows, copy = [], name.endswith('-copy')
        for i in range(10 if copy else 24):
            v = gaussian_filter(r.normal(size=(64, 64)), smooth, mode='wrap')
            v = v/v.std()*25 + (105, 155)[i % 2]
            v = .95*v + r.normal(0, 2, v.shape) if copy else v
            Image.fromarray(v.clip(0, 255).astype(np.uint8)).save(p := tmp/name/f'{i}.png')
            rows.append(dict(path=str(p), dataset=name, industry=name, label='ab'[i % 2], width=64, height=64, mode='L', sha256=file_sha256(p)))
        save_voc(items_frame(rows), tmp/'zoo'/name)
    zoo, build = load_zoo(tmp/'zoo'), partial(build_corpus, out=tmp/'corpora')
    return dict(source=build(zoo, name='source', datasets=list(SURFACES)), ckpt=imagenet_checkpoint('tf_efficientnet_lite0', tmp/'checkpoints'),
                **{k: build(zoo, name=k, datasets=[f'{k}-copy']) for k in SURFACES})

@pytest.mark.parametrize('name', SURFACES)
def test_the_planted_near_copy_comes_first(made, name):
    "By earth mover's distance, by its two classes, and by textures; in whichever set it was planted"
    from srisc_tl.domain_similarity import rank_domains
    from srisc_tl.features import features
    from srisc_tl.importance import mean_weights
    from srisc_tl.selection import select
    source, target, ckpt = made['source'], made[name], made['ckpt']
    seen = [features(ckpt, c, size=64) for c in (source, target)]
    assert rank_domains(*seen, source.items['dataset']).index[0] == name
    w = select('emd', source, target, ckpt, k=2, size=64)
    assert list(w.index[w > 0]) == [f'{name}/a', f'{name}/b']
    by = mean_weights(select('gabor', source, target, ckpt, k=8, hard=1, size=64), source, 'dataset')
    assert by.idxmax() == name and by.drop(name).max() < .25*by[name], by

@pytest.mark.parametrize('replacement', [False, True])
def test_classes_are_drawn_as_the_target_sees_them(made, replacement):
    "The training loader draws class y with probability P_t(y), by χ²; a class that the target does not look like is never drawn, and stays in the vocabulary"
    from srisc_tl.importance import importance_weights
    from srisc_tl.loading import get_dls
    source = made['source']
    pt = np.array([.3, .02, .18, .1, 0, .25, .1, .05])
    w = importance_weights(pt, source.class_share)
    assert (source.class_share*w).sum() == pytest.approx(1)
    dls = get_dls(source, size=32, bs=16, weights=w, epoch_len=20_000, replacement=replacement)
    drawn = pd.Series(source.items['cls'].to_numpy()[dls.train.get_idxs()]).value_counts().reindex(source.classes, fill_value=0)
    assert drawn.sum() == 20_000 and drawn.iloc[4] == 0 and len(dls.vocab) == 8
    assert chisquare(drawn[pt > 0], 20_000*pt[pt > 0]).pvalue > .001

WEIGHTS = { # weights by class a, b of four surfaces, or by image → the text of an error; '' for weights that can be drawn by
    'a class with none': (lambda c: pd.Series([0.] + [1.]*7, c.classes), ''),
    'one class alone': (lambda c: pd.Series([0.]*7 + [1e-9], c.classes), ''),
    'one image alone': (lambda c: np.eye(len(c))[5], ''),
    'scale 1e300': (lambda c: pd.Series([1e300] + [1e299]*7, c.classes), ''),
    'none for all': (lambda c: pd.Series(0., c.classes), 'not all zero'),
    'NaN': (lambda c: pd.Series([np.nan] + [1.]*7, c.classes), 'must be finite'),
    'infinite': (lambda c: pd.Series([np.inf] + [1.]*7, c.classes), 'must be finite'),
    'negative': (lambda c: pd.Series([-1.] + [1.]*7, c.classes), 'not negative'),
    'a class missing': (lambda c: pd.Series(1., c.classes[1:]), 'differ in 1 name(s)'),
    'a class of another corpus': (lambda c: pd.Series(1., [*c.classes, 'film/ok']), 'differ in 1 name(s)'),
    'of other images': (lambda c: np.ones(len(c) - 1), '(95,) weights for the 96 images'),
}

@pytest.mark.parametrize('case', WEIGHTS)
def test_weights_reach_a_sampler_sound_or_not_at_all(case, made):
    from srisc_tl.corpus import item_weights
    from srisc_tl.loading import get_dls
    from srisc_tl.pretrain import Stage
    source, (make, says) = made['source'], WEIGHTS[case]
    w = make(source)
    if says:
        for use in (lambda: get_dls(source, size=32, weights=w), lambda: Stage(source, w).item_weights, lambda: lawful(w, source)):
            with pytest.raises(DataError) as e: use()
            assert says in str(e.value)
        return
    lawful(w, source)
    dls, none = get_dls(source, size=32, bs=16, weights=w), item_weights(source, w) == 0
    assert not np.isin(dls.train.get_idxs(), np.flatnonzero(none)).any() and len(dls.vocab) == 8
    x, y = dls.one_batch()
    assert x.isfinite().all() and not none.all() and set(dls.vocab[int(i)] for i in y) <= set(source.items['cls'][~none])
    assert all(np.isfinite(v) for v in Stage(source, w).mix.values())

# ---- SOSELETO's toy problem, by a loop of our own over gradients written down by hand

M, FLIPPED, TARGET, BATCH = 500, 100, 50, 16

def toys(n):
    "Problems: x [n, 550, 2] (500 of the source), y, whether a source label is wrong; parameters of a 2-2-2 net"
    r = np.random.default_rng(45)
    x = r.uniform(-1, 1, (n, M + TARGET, 2))
    y, wrong = (x.sum(2) > 0).astype(int), np.argsort(r.random((n, M)), axis=1) < FLIPPED
    y[:, :M] ^= wrong
    p = dict(w1=r.normal(size=(n, 2, 2))/2**.5, b1=np.zeros((n, 2)), w2=r.normal(size=(n, 2, 2))/2**.5, b2=np.zeros((n, 2)))
    return x, y, wrong, p

def gradients(p, x, y):
    "Of the cross-entropy of each image, [problems, images, ...]"
    h = x@p['w1'] + p['b1'][:, None]
    a = np.maximum(h, 0)
    o = a@p['w2'] + p['b2'][:, None]
    e = np.exp(o - o.max(2, keepdims=True))
    d = e/e.sum(2, keepdims=True) - np.eye(2)[y]
    back = (d@p['w2'].transpose(0, 2, 1))*(h > 0)
    return dict(w1=x[..., None]*back[..., None, :], b1=back, w2=a[..., None]*d[..., None, :], b2=d)

def learn(n, epochs, lr, alpha_lr, momentum=.5):
    "The published loop: weights by each image's own gradient against the target's. Yields weights [n, 500] and the batch after each step"
    x, y, _, p = toys(n)
    r, v, a, at = np.random.default_rng(0), {k: 0*t for k, t in p.items()}, np.full((n, M), .5), np.arange(n)[:, None]
    for _ in range(epochs):
        order = np.argsort(r.random((n, M)), axis=1)
        for i in np.split(order, range(BATCH, M, BATCH), axis=1):
            g, g_t = gradients(p, x[at, i], y[at, i]), {k: t.mean(1) for k, t in gradients(p, x[:, M:], y[:, M:]).items()}
            along = sum((g[k]*g_t[k][:, None]).reshape(n, i.shape[1], -1).sum(2) for k in p)
            a[at, i] = (a[at, i] + alpha_lr*lr*along).clip(0, 1)
            for k in p:
                v[k] = momentum*v[k] + (g[k]*a[at, i].reshape(n, -1, *[1]*(g[k].ndim - 2))).mean(1)
                p[k] = p[k] - lr*v[k]
            yield a, i

def test_soseleto_step_is_the_published_loop():
    "Forward mode over ten problems at once against gradients by hand, step by step, over two epochs"
    import torch
    import torch.nn.functional as F
    from torch.func import vmap
    from srisc_tl.soseleto import soseleto_step
    def loss_s(p, x, y): return F.cross_entropy(torch.relu(x@p['w1'] + p['b1'])@p['w2'] + p['b2'], y, reduction='none')
    def loss_t(p, x, y): return loss_s(p, x, y).mean()
    x, y, _, p = toys(10)
    x, y, p = torch.tensor(x), torch.tensor(y), {k: torch.tensor(t) for k, t in p.items()}
    v, a, at = {k: 0*t for k, t in p.items()}, torch.full((10, M), .5, dtype=torch.float64), torch.arange(10)[:, None]
    step = vmap(lambda *o: soseleto_step(*o, loss_s, loss_t, lr=.02, momentum=.5, alpha_lr=40.))
    for want, i in learn(10, 2, .02, 40.):
        i = torch.tensor(i)
        p, v, a[at, i] = step(p, v, a[at, i], (x[at, i], y[at, i]), (x[:, M:], y[:, M:]))
        assert np.allclose(a, want, atol=1e-9)
    assert 0 < (a == 0).float().mean() < .5

def test_soseleto_finds_wrong_labels(capsys):
    "At the published rates (0.01 and 20, 100 epochs of batches of 16), over fifty problems: of the first ten, and of all, what 'a weight under 0.1' finds"
    wrong, n = toys(50)[2], 50
    for a, _ in learn(n, 100, .01, 20.): pass
    found = a < .1
    hit, weight = (found & wrong).sum(1), [(a*m).sum(1)/m.sum(1) for m in (wrong, ~wrong)]
    df = pd.DataFrame(dict(wrong=weight[0], right=weight[1], precision=hit/np.maximum(found.sum(1), 1), recall=hit/FLIPPED))
    learned = df[df['right'] - df['wrong'] > .3]                     # a net of two units may die at its start: then all stays near 1/2
    with capsys.disabled():
        print(f'\nSOSELETO, mean weight of wrong and right labels, precision and recall of a weight under 0.1:\nthe first ten problems\n{df[:10].round(3)}\n'
              f'{len(learned)} of {n} problems where the net learned\n{learned.describe().loc[["mean", "min", "max"]].round(3)}')
    assert len(learned) > .9*n and (learned['wrong'] < .1).mean() > .75 and learned['wrong'].median() < .08 and learned['right'].min() > .6
    assert learned['precision'].mean() > .93 and learned['recall'].mean() > .75

@pytest.mark.parametrize('seed', range(3))
def test_soseleto_prefers_the_near_copy(seed):
    "At rates low enough that no step takes a weight from 1/2 to an end: classes that look like the target's outweigh the others, whatever the start"
    from srisc_tl.soseleto import item_importance
    w = world()
    a = item_importance(w['f']['source'], np.repeat(np.arange(8), PER_CLASS), w['f']['target'], np.repeat([0, 1], 8), seed=seed, **OPTS['soseleto'])
    by = a.reshape(8, PER_CLASS).mean(1)
    assert by[4:6].mean() > by[[0, 1, 2, 3, 6, 7]].mean() + .1, by
