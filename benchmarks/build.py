"""Images a second of a corpus build, side by side with a bare loop of libvips and one of Pillow over the same files, in one run on one
worker; and two workers against one. The loops know where their output goes and how large it is; `preprocess` names, hashes, checks,
recognises grey, caches and tabulates. Ratios are what counts; the machine's speed drifts, so arms take turns, and the best counts.

    python benchmarks/build.py [--each 10] [--data ../shared/data] [--sample 20]
"""
import argparse, hashlib, os, shutil, tempfile, time
from pathlib import Path
os.environ.setdefault('OMP_NUM_THREADS', '1'), os.environ.setdefault('VIPS_CONCURRENCY', '1')

ap = argparse.ArgumentParser()
ap.add_argument('--each', type=int, default=10, help='invented files of each kind')
ap.add_argument('--data', default=os.environ.get('SRISC_DATA', '../shared/data'), help='folder of real sets; left out when it is not there')
ap.add_argument('--sample', type=int, default=20, help='files of each real set')
ap.add_argument('--repeats', type=int, default=5)
o = ap.parse_args()

import numpy as np
import pandas as pd
import pyvips
from joblib import Parallel, delayed
from PIL import Image
from srisc_tl.convention import items_frame
from srisc_tl.fit import fit_size
from srisc_tl.preprocess import preprocess

tmp = Path(tempfile.mkdtemp())

def row(path, dataset):
    with Image.open(path) as im: w, h = im.size
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return dict(path=str(path), dataset=dataset, label='x', cls=f'{dataset}/x', width=w, height=h, sha256=sha256, window=[0, 0, w, h])

def invent():
    "Soft patches of colour and grain, as toolchain.md measured: 2000 x 2000, 1024 x 1024, 600 x 300; JPEG and PNG"
    rng = np.random.default_rng(0)
    for w, h in [(2000, 2000), (1024, 1024), (600, 300)]:
        for i in range(o.each):
            coarse = Image.fromarray(rng.integers(30, 226, (h//20 + 2, w//20 + 2, 3), dtype=np.uint8))
            coarse = coarse.resize((w, h), Image.Resampling.BICUBIC)
            im = Image.fromarray((np.asarray(coarse, np.float32) + rng.normal(0, 4, (h, w, 1))).clip(0, 255).astype(np.uint8))
            for suffix in ('jpg', 'png'):
                im.save(p := tmp/f'{w}_{i}.{suffix}', quality=90)
                yield row(p, suffix)

def real():
    "A sample of each real set, but for BMP, which libvips does not read; masks are images too"
    for folder in sorted(p for p in Path(o.data).iterdir() if p.is_dir()) if Path(o.data).is_dir() else ():
        files = sorted(p for p in folder.rglob('*') if p.suffix.lower() in ('.jpg', '.jpeg', '.png', '.tiff'))
        for p in files[::max(1, len(files)//o.sample)][:o.sample]: yield row(p, 'real sets')

df = items_frame([*invent(), *real()])
df['size'] = [fit_size(w, h) for w, h in zip(df['width'], df['height'])]

def bare(df, out):
    "libvips: shrink on load, pad, save"
    for i, (p, f) in enumerate(zip(df['path'], df['size'])):
        im = pyvips.Image.thumbnail(p, f.inner[0], height=f.inner[1], size='force')
        im.gravity('centre', f.width, f.height).jpegsave(f'{out}/{i}.jpg', Q=95, subsample_mode='off')

def pillow(df, out, draft=0):
    "Pillow: decode, resize, pad, save; with `draft` a JPEG is shrunk while it is decoded, to `draft` times the size wanted at least"
    for i, (p, f) in enumerate(zip(df['path'], df['size'])):
        with Image.open(p) as im:
            if draft: im.draft(None, (draft*f.inner[0], draft*f.inner[1]))
            im = im if im.mode in ('L', 'RGB') else im.convert('RGB')
            new = Image.new(im.mode, (f.width, f.height))
            new.paste(im.resize(f.inner, Image.Resampling.LANCZOS), (f.dx, f.dy))
        new.save(f'{out}/{i}.jpg', quality=95, subsampling=0)

arms = {'preprocess': preprocess, 'preprocess into a cache': lambda df, out: preprocess(df, out, f'{out}/cache'), 'bare libvips loop': bare,
        'Pillow loop': pillow, 'Pillow loop, draft': lambda df, out: pillow(df, out, draft=2)}
def copies(n):
    "Enough work for the two-worker arms: each file under several names"
    for i in range(n):
        for j, p in enumerate(df['path']): os.symlink(Path(p).resolve(), tmp/f'copy{i}_{j}{Path(p).suffix}')
        yield df.assign(path=[str(tmp/f'copy{i}_{j}{Path(p).suffix}') for j, p in enumerate(df['path'])])
many = pd.concat(copies(3), ignore_index=True)
halves = [many[i::2] for i in range(2)]
def loops(out):
    "What the machine gives to two processes: the bare loop, half of the files each"
    for i in range(2): (out/str(i)).mkdir(parents=True)
    Parallel(2)(delayed(bare)(half, out/str(i)) for i, half in enumerate(halves))
scale = {'1 worker': lambda out: preprocess(many, out), '2 workers': lambda out: preprocess(many, out, n_jobs=2),
         '1 loop': lambda out: bare(many, out), '2 loops': loops}
groups, best = dict(iter(df.groupby('dataset'))), {}
scale['2 workers'](tmp/'warm'), loops(tmp/'warm2')              # the workers' start and imports do not count

def clock(key, f):
    out = tmp/'out'
    out.mkdir()
    t = time.perf_counter()
    f(out)
    best[key] = min(best.get(key, 1e9), time.perf_counter() - t)
    shutil.rmtree(out)

for _ in range(o.repeats):
    for group, part in groups.items():
        for name, arm in arms.items(): clock((group, name), lambda out: arm(part, out))
    for name, arm in scale.items(): clock(('workers', name), arm)

t = pd.Series({(g, a): best[g, a] for g in groups for a in arms}).unstack()[list(arms)]
t.loc['all'] = t.sum()
n = pd.Series({g: len(part) for g, part in groups.items()} | {'all': len(df)})
rate = t.rdiv(n, axis=0)
print('\nimages/s a worker'), print(rate.assign(files=n).round(1).to_string())
print('\npreprocess, times the speed of'), print(rate.rdiv(rate['preprocess'], axis=0).iloc[:, 1:].round(2).to_string())
one, two, loop, both = (best['workers', name] for name in scale)
print(f'\ntwo workers: {one/two:.2f} times one, {len(many)/two:.0f} images/s; the bare loop in two processes: {loop/both:.2f} times one')
shutil.rmtree(tmp)
