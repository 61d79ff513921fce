"""Properties of fitting, cutting and making images, on sizes and defects that hypothesis makes up; and odd files, with Pillow as the judge."""
import hashlib, os, signal, subprocess, sys, tempfile
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings, strategies as st
from PIL import Image, ImageOps
from repo import ROOT
from srisc_tl.convention import DataError, items_frame
from srisc_tl.fit import HI, LO, fit_pixels, fit_size, load_image, resize_pad
from srisc_tl.patches import mixed_defects, normal_windows, patch_crop, window_area
from srisc_tl.preprocess import defect_sides, plan, preprocess, to_raw, under_sample, windows

settings.register_profile('rooms', max_examples=150, deadline=None, derandomize=True, database=None)
settings.load_profile('rooms')
side = st.one_of(st.integers(1, 600), st.integers(1, 6000))

@st.composite
def images(draw, most=8, least=1, size=3000):
    "Width, height and boxes of an image"
    w, h = draw(st.integers(4, size)), draw(st.integers(4, size))
    def span(n):
        a, b = sorted(draw(st.floats(0, n - 1)) for _ in range(2))
        return a, min(b + 1, n)
    boxes = []
    for _ in range(draw(st.integers(least, most))):
        (x0, x1), (y0, y1) = span(w), span(h)
        boxes.append([draw(st.sampled_from('abc')), x0, y0, x1, y1])
    return w, h, boxes

def scene(w, h, seed=0):
    "An invented colour picture, soft, so that JPEG changes little"
    coarse = np.random.default_rng(seed).integers(20, 236, (h//24 + 2, w//24 + 2, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((w, h), Image.Resampling.BICUBIC)

def apart(a, b): return np.abs(np.asarray(a, float) - np.asarray(b, float)).mean()

def item(path, boxes=(), label='a', dataset='set', **more):
    with Image.open(path) as im: w, h = ImageOps.exif_transpose(im).size
    return dict(path=str(path), dataset=dataset, label=label, cls=f'{dataset}/{label}', width=w, height=h, boxes=list(boxes),
                sha256=hashlib.sha256(Path(path).read_bytes()).hexdigest()) | more

# Fit

@given(side, side, st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_fit(w, h, at):
    "Sides in range, ratio kept, enlarged no further than needed; boxes go there and back"
    f = fit_size(w, h)
    assert LO <= f.width <= HI and LO <= f.height <= HI and max(f.inner) in range(LO, HI + 1)
    assert max(f.inner) == (LO if max(w, h) <= LO else HI if max(w, h) >= HI else max(w, h))
    assert abs(w*f.inner[1]/h - f.inner[0]) <= max(w/h, 1)*.5 + .5 or min(f.inner) == 1
    x, y = np.sort(at[:2])*w, np.sort(at[2:])*h
    there = f.boxes([['a', x[0], y[0], x[1], y[1]]])
    assert -1e-6 <= min(there[0][1:3]) and there[0][3] <= f.width + 1e-6 and there[0][4] <= f.height + 1e-6
    assert np.allclose(f.boxes(there, inverse=True)[0][1:], [x[0], y[0], x[1], y[1]], atol=1e-6*max(w, h))

@given(st.integers(1, 700), st.integers(1, 700), st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_mask(w, h, at):
    "A mask's region lies where its box does, within a pixel; back again its rim has moved by at most a pixel of the coarser picture"
    x, y = (np.sort(np.array(a)*n).astype(int) for a, n in ((at[:2], w), (at[2:], h)))
    x1, y1 = min(x[1] + 1, w), min(y[1] + 1, h)
    m, f = np.zeros((h, w), np.uint8), fit_size(w, h)
    m[y[0]:y1, x[0]:x1] = 7
    new = f.mask(m)
    assert new.shape == (f.height, f.width) and set(np.unique(new)) <= {0, 7}
    box = f.boxes([['a', x[0], y[0], x1, y1]])[0][1:]
    if new.any():
        ys, xs = np.nonzero(new)
        assert np.abs(np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) - box).max() <= 1
    back = f.mask(new, inverse=True)
    assert back.shape == m.shape
    rim = np.hypot(*np.maximum(1, 1/np.array([f.sx, f.sy])))
    for yy, xx in np.argwhere(back != m)[:50]:
        assert min(abs(xx + .5 - x[0]), abs(xx + .5 - x1), abs(yy + .5 - y[0]), abs(yy + .5 - y1)) <= rim

@pytest.mark.parametrize('size', [(1, 1), (1, 5000), (5000, 1), (4096, 256), (5000, 4000), (8, 8), (224, 256), (257, 223), (2001, 1501)])
def test_sides_of_files(size, tmp_path):
    "Any file, as JPEG and as PNG, by path, by bytes, and from memory: one picture"
    im = scene(*size)
    for suffix in ('jpg', 'png')[:1 if size[0]*size[1] > 1e7 else 2]:
        im.save(p := tmp_path/f'a.{suffix}', quality=95, subsampling=0)
        a, f = fit_pixels(p)
        assert f == fit_size(*size) and a.shape[:2] == (f.height, f.width) and LO <= min(a.shape[:2]) <= max(a.shape[:2]) <= HI
        assert (fit_pixels(p.read_bytes())[0] == a).all() and apart(resize_pad(Image.open(p))[0], a) < 1

# Odd files

def odd(im):
    "Name → (how it is saved, what is to come out)"
    deep = lambda top: Image.fromarray(np.linspace(0, top, 120*160).reshape(120, 160).round().astype(np.uint16))
    ramp = np.linspace(0, 255, 120*160).reshape(120, 160)
    clear = im.convert('RGBA'); clear.putalpha(Image.linear_gradient('L').resize(im.size))
    white = Image.alpha_composite(Image.new('RGBA', im.size, 'white'), clear)
    cmyk, palette = im.convert('CMYK'), im.convert('P', palette=Image.Palette.ADAPTIVE)
    return {'10.png': (deep(1023), ramp), '12.tif': (deep(4095), ramp), '14.png': (deep(16383), ramp), '16.png': (deep(65535), ramp), '8in16.tif': (deep(255), ramp),
            'float.tif': (Image.fromarray((ramp/255).astype(np.float32)), ramp), 'int.tif': (Image.fromarray((ramp*1000 - 9).astype(np.int32)), ramp),
            'cmyk.jpg': (cmyk, im), 'cmyk.tif': (cmyk, im), 'palette.png': (palette, palette.convert('RGB')), 'palette.gif': (palette, palette.convert('RGB')),
            'palette.bmp': (palette, palette.convert('RGB')), 'alpha.png': (clear, white.convert('RGB')), 'alpha.tif': (clear, white.convert('RGB')),
            'la.png': (clear.convert('LA'), white.convert('L')), 'bit.png': (im.convert('1'), im.convert('1').convert('L')),
            'bit.tif': (im.convert('1'), im.convert('1').convert('L')), 'grey.jpg': (im.convert('L'), im.convert('L')), 'grey_rgb.jpg': (im.convert('L').convert('RGB'), im.convert('L'))}

@pytest.mark.parametrize('name', odd(scene(160, 120)))
def test_odd_files(name, tmp_path):
    im, want = odd(scene(160, 120))[name]
    im.save(tmp_path/name, **(dict(quality=98) if name.endswith('jpg') else {}))
    got = load_image(tmp_path/name).numpy()
    assert got.shape == np.asarray(want).shape and got.dtype == np.uint8 and apart(got, want) < 3
    a, f = fit_pixels(tmp_path/name)
    assert a.ndim == got.ndim and apart(a[f.dy:f.dy+f.inner[1], f.dx:f.dx+f.inner[0]], Image.fromarray(got).resize(f.inner, Image.Resampling.BICUBIC)) < 3

@pytest.mark.parametrize('turn', range(1, 9))
def test_turned_copies(turn, tmp_path):
    "However a camera turned it, the corpus image and its boxes are the same, whole and in patches"
    im, boxes = scene(900, 500), [['a', 600., 100., 640., 130.], ['b', 100., 300., 120., 330.]]
    for _, *b in boxes: im.paste('black', tuple(map(int, b)))
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}         # how Pillow undoes each orientation: FLIP_LEFT_RIGHT, ROTATE_180, ...
    stored = im.transpose(back[turn]) if turn > 1 else im
    exif = Image.Exif(); exif[0x112] = turn
    stored.save(tmp_path/'turned.jpg', exif=exif, quality=97, subsampling=0), im.save(tmp_path/'plain.png')
    assert apart(ImageOps.exif_transpose(Image.open(tmp_path/'turned.jpg')), im) < 2
    made = {}
    for p in ('turned.jpg', 'plain.png'):
        df = items_frame([item(tmp_path/p, boxes)])
        df['sha256'] = df['sha256'] if p == 'plain.png' else ''
        both = [windows(df.assign(sha256='the same places'), plan(df, dict(set=op))).assign(sha256=df['sha256'].iloc[0]) for op in ('resize', 'patch')]
        made[p] = [preprocess(todo, tmp_path/p.replace('.', '_')/str(i)) for i, todo in enumerate(both)]
    for a, b in zip(made['turned.jpg'], made['plain.png']):
        assert a['boxes'].tolist() == b['boxes'].tolist() and len(a) == len(b)
        for p, q in zip(a['path'], b['path']): assert apart(Image.open(p), Image.open(q)) < 3
    for r in made['turned.jpg'][1].itertuples():
        x0, y0, x1, y1 = np.array(r.boxes[0][1:]).round().astype(int)
        assert np.asarray(Image.open(r.path))[y0+3:y1-3, x0+3:x1-3].mean() < 20

def test_tiles_are_read_by_region(tmp_path):
    "A window of a tiled TIFF of 36 megapixels takes the memory of its tiles, not of the picture"
    code = """
import resource, sys, pyvips
from srisc_tl.patches import fit_windows
fit_windows(pyvips.Image.black(300, 300).pngsave_buffer(), [[0, 0, 200, 200]], (300, 300))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fit_windows(sys.argv[1], [[3000, 3000, 3256, 3256], [5000, 100, 5300, 300]], (6000, 6000))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)/1024)"""
    import pyvips
    pyvips.Image.black(6000, 6000, bands=3).tiffsave(str(tmp_path/'t.tif'), tile=True, compression='deflate')
    got = subprocess.run([sys.executable, '-c', code, str(tmp_path/'t.tif')], env={**os.environ, 'PYTHONPATH': str(ROOT)}, capture_output=True, text=True, check=True)
    assert float(got.stdout) < 40                            # MB; the picture has 108

# Patches

@example((4, 4, [['a', 0., 0., 1., 1.], ['b', 0., 0., 1., 1.], ['a', 0., 0., 1., 1 + 1e-12]]), 0) # by area the third is in the first's window
@given(images(), st.integers(0, 9))
def test_defects_are_contained(image, seed):
    "Each defect is whole in a window of its own label; a window that is not marked as mixed touches no other class"
    w, h, boxes = image
    cut, b = patch_crop(boxes, w, h, seed), np.array([o[1:] for o in boxes])
    assert cut == patch_crop(boxes, w, h, seed)
    for label, win, mixed in cut:
        assert 0 <= win[0] < win[2] <= w and 0 <= win[1] < win[3] <= h and all(isinstance(v, int) for v in win)
        assert mixed or not window_area([win], b)[0][[o[0] != label for o in boxes]].any()
    for label, *box in boxes:
        at = [win for l, win, _ in cut if l == label and win[0] <= box[0] and win[1] <= box[1] and win[2] >= box[2] and win[3] >= box[3]]
        assert at and (max(box[2] - box[0], box[3] - box[1]) > HI - 2 or min(max(v[2] - v[0], v[3] - v[1]) for v in at) <= HI)
    assert sum(mixed for *_, mixed in cut) <= mixed_defects(boxes).sum()

@given(images(least=0), st.integers(0, 9), st.integers(1, 4), st.integers(16, 256))
def test_normal_windows_touch_no_defect(image, seed, n, size):
    w, h, boxes = image
    wins = normal_windows(boxes, w, h, n, seed, size)
    assert len(wins) <= n and wins == normal_windows(boxes, w, h, n, seed, size)
    for x0, y0, x1, y1 in wins:
        assert 0 <= x0 < x1 <= w and 0 <= y0 < y1 <= h
        assert not any(x0 < b[3] and b[1] < x1 and y0 < b[4] and b[2] < y1 for b in boxes)

@settings(max_examples=25)
@given(images(most=4, size=900), st.integers(0, 3))
def test_masks_follow_their_patches(image, seed):
    "In every image that is made, each region of the mask lies in its raw defect, within a pixel, and each box is a raw one or a part of it"
    boxes, m = image[2], np.zeros((image[1], image[0]), np.uint8)
    boxes = [[label, *map(float, (int(x0), int(y0), np.ceil(x1), np.ceil(y1)))] for label, x0, y0, x1, y1 in boxes]
    for i, (_, x0, y0, x1, y1) in enumerate(np.array(boxes, object), 1): m[int(y0):int(y1), int(x0):int(x1)] = i     # a later one is on top
    b = np.array([o[1:] for o in boxes])
    with tempfile.TemporaryDirectory() as tmp:
        Image.fromarray(m).save(f'{tmp}/m.png'), Image.fromarray(m*20).save(f'{tmp}/a.png')
        df = items_frame([item(f'{tmp}/a.png', boxes, mask=f'{tmp}/m.png')])
        for r in preprocess(windows(df, plan(df, dict(set='patch')), seed=seed), f'{tmp}/out').itertuples():
            for _, *raw in to_raw(r, r.boxes): assert ((b[:, :2] <= np.add(raw[:2], 1e-6)) & (b[:, 2:] >= np.add(raw[2:], -1e-6))).all(axis=1).any()
            new = np.asarray(Image.open(r.mask))
            assert new.shape == (r.height, r.width)
            for i in np.unique(new[new > 0]):
                ys, xs = np.nonzero(new == i)
                raw = to_raw(r, [['', xs.min() + .5, ys.min() + .5, xs.max() + .5, ys.max() + .5]])[0][1:]
                pixel = max(1/r.scale[0], 1/r.scale[1])
                assert (raw[:2] >= b[i - 1][:2] - pixel).all() and (raw[2:] <= b[i - 1][2:] + pixel).all()

def test_strip_and_large_image(tmp_path):
    "A strip of 4,096 x 256 and 20 megapixels: patches at the scale of the file, and the thread of a defect is still there"
    for w, h in ((4096, 256), (5000, 4000)):
        a = np.full((h, w), 120, np.uint8)
        boxes = [['cut', x, y, x + 30., y + 12.] for x, y in ((20., 40.), (w/2, h/2), (w - 40., h - 20.))]
        for _, x0, y0, x1, y1 in boxes: a[int(y0):int(y1), int(x0):int(x1)] = 250
        Image.fromarray(a).save(tmp_path/'a.jpg', quality=95)
        df = items_frame([item(tmp_path/'a.jpg', boxes, normal='ok')])
        todo = windows(df, plan(df))
        assert (defect_sides(todo)['after'] >= 12).all() and plan(df)['op'][0] == 'patch' and defect_sides(windows(df, plan(df, dict(set='resize'))))['after'].max() < 8
        for r in preprocess(todo, tmp_path/str(w)).itertuples():
            im = np.asarray(Image.open(r.path))
            if r.label == 'ok': assert im[im > 0].max() < 150
            else: assert all(im[int(b[2]) + 2:int(b[4]) - 2, int(b[1]) + 2:int(b[3]) - 2].mean() > 220 for b in r.boxes) and len(r.boxes) == 1

# Building

def corpus(tmp, n=6, dataset='set', seed=0):
    "An item table of invented files, some with boxes"
    rows = []
    for i in range(n):
        scene(300 + 40*i, 300, seed + i).save(p := tmp/f'{dataset}_{i}.{"jpg" if i % 2 else "png"}')
        rows.append(item(p, [['a', 20, 20, 30, 30]] if i % 3 else [], 'a' if i % 3 else 'ok', dataset, normal='ok'))
    return items_frame(rows)

def hashes(df): return {Path(p).name: hashlib.sha256(Path(p).read_bytes()).hexdigest() for p in df['path']}

def test_same_seed_same_bytes_and_another_set_changes_nothing(tmp_path):
    one, two = corpus(tmp_path), corpus(tmp_path, dataset='other', seed=50)
    todo = lambda df, seed=0, cap=4: under_sample(windows(df, plan(df), seed=seed), cap, seed)
    a, b = preprocess(todo(one), tmp_path/'a', n_jobs=2), preprocess(todo(one), tmp_path/'b', tmp_path/'cache')
    assert hashes(a) == hashes(b) and a.drop(columns='path').equals(b.drop(columns='path'))
    assert hashes(preprocess(todo(one, 1), tmp_path/'c')) != hashes(a)
    c = preprocess(todo(pd.concat([two, one], ignore_index=True)), tmp_path/'d', tmp_path/'cache')
    assert hashes(c[c['dataset'] == 'set']) == hashes(a) and set(c['dataset']) == {'set', 'other'}

def test_killed_and_resumed_from_the_cache(tmp_path):
    "A worker that is killed amid its work leaves whole files only; what is there is not made again"
    df = corpus(tmp_path, 12)
    todo = windows(df, plan(df))
    want = hashes(preprocess(todo, tmp_path/'want'))
    todo.to_pickle(tmp_path/'todo.pkl')
    code = """
import os, signal, sys, pandas as pd, srisc_tl.make as make
from srisc_tl.preprocess import preprocess
put, left = make.Cache.put, [int(sys.argv[2])]
def stop(self, key, dst, data):
    left[0] -= 1
    if left[0] == 0:
        with open(f'{self.root}/new/half', 'wb') as f: f.write(data[:99]); f.flush(); os.kill(os.getpid(), signal.SIGKILL)
    put(self, key, dst, data)
make.Cache.put = stop
preprocess(pd.read_pickle(sys.argv[1]), sys.argv[1] + '.out', sys.argv[3])"""
    got = subprocess.run([sys.executable, '-c', code, str(tmp_path/'todo.pkl'), '7', str(tmp_path/'cache')], env={**os.environ, 'PYTHONPATH': str(ROOT)})
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path/'cache').glob('?/*') if not p.is_symlink()}
    assert got.returncode == -signal.SIGKILL and len(kept) == 6
    assert hashes(preprocess(todo, tmp_path/'again', tmp_path/'cache', n_jobs=2)) == want
    assert {p: p.stat().st_mtime_ns for p in kept} == kept

def test_a_damaged_cache_and_a_changed_source(tmp_path):
    df = corpus(tmp_path, 4)
    todo = windows(df, plan(df))
    want = hashes(preprocess(todo, tmp_path/'a', tmp_path/'cache'))
    first = next((tmp_path/'cache').glob('?/*'))
    first.unlink(), first.touch()                            # as a machine leaves it that lost its power
    assert hashes(preprocess(todo, tmp_path/'b', tmp_path/'cache')) == want
    Path(df['path'][2]).write_bytes(Path(df['path'][0]).read_bytes())
    preprocess(todo, tmp_path/'c', tmp_path/'cache')         # nothing of it is needed
    with pytest.raises(DataError, match='set_2.png: has changed since it was imported'): preprocess(todo, tmp_path/'d')
    with pytest.raises(DataError, match='its size is 300 x 300 pixels, its table says 301 x 300'):
        preprocess(todo[:1].assign(width=301, window=[[0, 0, 301, 300]]), tmp_path/'e')
    Path(df['path'][2]).write_bytes(b'\x89PNG\r\n\x1a\nno picture')
    with pytest.raises(DataError, match='set_2.png: not a readable image'): preprocess(todo.assign(sha256=''), tmp_path/'f')

@given(st.lists(st.sampled_from('abcd'), min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 3))
def test_cap(classes, cap, seed):
    "No class above the cap, none smaller than it has to be; order kept; a class' choice does not depend on the others"
    df = pd.DataFrame(dict(cls=classes, sha256=[f'{c}{i}' for i, c in enumerate(classes)]))
    cut = under_sample(df, cap, seed)
    assert cut['cls'].value_counts().to_dict() == {c: min(cap, n) for c, n in df['cls'].value_counts().items()}
    assert df.reset_index().merge(cut)['index'].is_monotonic_increasing
    for c in set(classes): assert set(under_sample(df[df['cls'] == c], cap, seed)['sha256']) == set(cut['sha256'][cut['cls'] == c])

def test_deeppcb_defects_survive(shared_data, tmp_path):
    "On the real boards, patches keep at least 99 % of the defects at 8 pixels"
    from srisc_tl.consolidate import consolidate, load_zoo
    from srisc_tl.convention import DATASETS
    from srisc_tl.standardise import standardise
    standardise(DATASETS['deeppcb'], shared_data, tmp_path)
    df = consolidate(load_zoo(tmp_path))
    sides = defect_sides(windows(df, plan(df)))
    assert plan(df)['op'].tolist() == ['patch'] and len(sides) == df['boxes'].str.len().sum() and (sides['after'] >= 8).mean() >= .99
