"""What selecting costs, in one run on one thread: a pass of features and probabilities over a corpus beside the bare forward of the same model on
one constant batch in memory (the ratio counts; rounds in random order), its memory over a small and a large corpus, and the time of the selectors'
own parts: Gabor histograms, SOSELETO's alignments beside a gradient for each image.

    python benchmarks/features.py [--size 96] [--images 1536] [--arch tf_efficientnet_lite0]
    python benchmarks/features.py --memory     # peak memory of a pass over 2,000 and over 20,000 images, each in a process of its own
"""
import argparse, os, resource, subprocess, sys, tempfile, time, warnings
from pathlib import Path
warnings.filterwarnings('ignore')
os.environ.setdefault('OMP_NUM_THREADS', '1')

ap = argparse.ArgumentParser()
for name, default in dict(size=96, images=1536, repeats=8, bs=64, arch='tf_efficientnet_lite0', peak=0).items():
    ap.add_argument(f'--{name}', type=type(default), default=default)
ap.add_argument('--memory', action='store_true')
o = ap.parse_args()

def invented(n, root):
    "A corpus of n images under as many names, few of them different, packed: no file is decoded in what follows"
    import numpy as np, pandas as pd
    from srisc_tl.build import Corpus
    from srisc_tl.pixels import packed
    from PIL import Image
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(64): Image.fromarray(rng.integers(0, 256, (o.size, o.size, 3), dtype=np.uint8)).save(root/f'{i}.png')
    items = pd.DataFrame(dict(path=[f'{i % 64}.png' for i in range(n)], sha256='', cls=[f'film/{i % 200:03}' for i in range(n)]))
    items.to_parquet(root/'items.parquet')
    packed(root, o.size)
    return Corpus(items.assign(path=[f'{root}/{p}' for p in items['path']], root=str(root), row=np.arange(n), sha256=[f'{i:064x}' for i in range(n)]), 'invented', {})

def checkpoint(tmp, classes):
    from srisc_tl.backbone import get_model, save_checkpoint
    return save_checkpoint(get_model(o.arch, len(classes)), tmp/'ckpt', dict(arch=o.arch, n_in=3, classes=classes))

if o.peak:
    from srisc_tl.features import features
    tmp = Path(os.environ['BENCH'])
    import torch; torch.set_num_threads(1)
    import pandas as pd
    from srisc_tl.build import Corpus
    c = Corpus(pd.read_pickle(tmp/f'{o.peak}.pkl'), 'invented', {})
    seen = features(checkpoint(tmp/f'at{o.peak}', c.classes), c, tmp/'out', o.size)
    seen.p.mean(0, dtype='float64')
    print(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024))
    sys.exit()

tmp = Path(tempfile.mkdtemp(dir=os.environ.get('BENCH_TMP')))
if o.memory:
    found = {}
    for n in (2_000, 20_000):
        invented(n, tmp/f'c{n}').items.to_pickle(tmp/f'{n}.pkl')
        said = subprocess.run([sys.executable, __file__, '--peak', str(n), '--size', str(o.size), '--arch', 'mobilenetv3_small_050'], env={**os.environ, 'BENCH': str(tmp)},
                              capture_output=True, text=True, check=True).stdout
        found[n] = int(said.split()[-1])
        print(f'{n:,} images: {found[n]:,} MB at the peak', flush=True)
    print(f'ratio {found[20_000]/found[2_000]:.3f}')
    sys.exit()

import numpy as np
import torch
import torch.nn.functional as F
from torch.func import grad, vmap
from srisc_tl.backbone import get_model
from srisc_tl.features import features
from srisc_tl.gabor import gabor_bank, histograms, log_range
from srisc_tl.soseleto import adapter, adapter_losses, alignments

torch.set_num_threads(1)
n = o.images//o.bs*o.bs
c = invented(n, tmp/'corpus')
ckpt = checkpoint(tmp, c.classes)
model = get_model(ckpt).eval().to(memory_format=torch.channels_last)
x = torch.randn(o.bs, 3, o.size, o.size).to(memory_format=torch.channels_last)

def bare():
    with torch.no_grad():
        for _ in range(n//o.bs): model(x)

def timed(f, *args):
    t = time.perf_counter(); f(*args)
    return time.perf_counter() - t

arms = {'bare forward, constant batch': bare, 'features, written to disk': lambda: features(ckpt, c, tempfile.mkdtemp(dir=tmp), o.size, o.bs)}
rounds, order = [], np.random.default_rng()
for _ in range(o.repeats):                           # in random order: the second arm of a round has a warmer or a busier machine
    s = {k: timed(arms[k]) for k in order.permutation(list(arms))}
    rounds.append([s[k] for k in arms])
a, b = np.array(rounds).T
lo, mid, hi = np.quantile(a/b, [.25, .5, .75])
print(f'bare forward {n/np.median(a):.1f} images/s, features written to disk {n/np.median(b):.1f}; ratio in a round {mid:.3f} [{lo:.3f}, {hi:.3f}]; wanted 0.9')

bank, px = gabor_bank(o.size), torch.rand(64, 3, o.size, o.size)
span = log_range(px, bank)
print(f'Gabor histograms: {min(timed(histograms, px, bank, span) for _ in range(9))/64*1e3:.2f} ms an image at {o.size} px')

p, f, y = adapter(1280, 100, 5), F.normalize(torch.randn(64, 1280)), torch.randint(0, 100, (64,))
g = grad(lambda p: adapter_losses(p, f, y).mean())(p)
def by_image():
    for i in range(64):
        q = {k: t.clone().requires_grad_() for k, t in p.items()}
        adapter_losses(q, f[i:i+1], y[i:i+1]).sum().backward()
        sum((q[k].grad*g[k]).sum() for k in p if q[k].grad is not None)
def each():
    e = vmap(grad(lambda p, f, y: adapter_losses(p, f[None], y[None])[0]), (None, 0, 0))(p, f, y)
    sum((e[k]*g[k]).flatten(1).sum(1) for k in p)
ours = lambda: alignments(lambda p: adapter_losses(p, f, y), p, g)
a, b, d = (min(timed(h) for _ in range(9)) for h in (ours, each, by_image))
print(f'SOSELETO, alignments of 64 images of 1,280 features: {a*1e3:.2f} ms in one forward-mode pass; {b/a:.0f}x with vmap(grad), {d/a:.0f}x with a backward for each')
