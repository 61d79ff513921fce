"""Batches a second of loaders side by side, in one run on the same images with the same augmentation: a random window of 224 x 224 pixels of 256,
mirrored or not, normalised to float32. No model: what is measured is how fast batches come. Ratios are what counts; the machine's speed drifts.
Before it, the proof that nothing else is loaded: packed pixels equal the decoded files, and batches from both are the same.

    python benchmarks/loader.py [--images 2000] [--repeats 3]
"""
import argparse, os, tempfile, time, warnings
from pathlib import Path
warnings.filterwarnings('ignore')

ap = argparse.ArgumentParser()
ap.add_argument('--images', type=int, default=2000), ap.add_argument('--bs', type=int, default=32), ap.add_argument('--repeats', type=int, default=3)
ap.add_argument('--threads', type=int, nargs='+', default=[1, 2], help="torch's, in the main process; each arm is judged by its best")
ap.add_argument('--profile', action='store_true', help='of our arm, instead of the comparison')
o = ap.parse_args()

import numpy as np
import pandas as pd
import torch
from fastai.vision.all import FlipItem, ImageDataLoaders, Normalize, RandomCrop
from PIL import Image, ImageFilter
from torchvision import transforms as T
from torchvision.datasets import ImageFolder
from srisc_tl.build import build_corpus
from srisc_tl.consolidate import load_zoo
from srisc_tl.convention import file_sha256, items_frame
from srisc_tl.loading import get_dls
from srisc_tl.pixels import packed
from srisc_tl.voc import save_voc

torch.set_num_threads(o.threads[0])
SIZE, CROP, stats, tmp, rng = 256, 224, ((.485, .456, .406), (.229, .224, .225)), Path(tempfile.mkdtemp()), np.random.default_rng(0)

def invent():
    "Ten classes of grainy surfaces with a scratch, JPEG as cameras make them"
    rows = []
    for i in range(o.images):
        label, p = f'c{i % 10}', tmp/f'raw/{i}.jpg'
        im = Image.fromarray(rng.integers(0, 256, (SIZE//4, SIZE//4, 3), dtype=np.uint8)).resize((SIZE, SIZE)).filter(ImageFilter.GaussianBlur(1 + i % 10))
        a = np.asarray(im) + rng.integers(-6, 7, (SIZE, SIZE, 1))
        a[20 + i % 200:24 + i % 200, 30:220] = 255
        Image.fromarray(a.clip(0, 255).astype(np.uint8)).save(p, quality=95)
        rows.append(dict(path=str(p), dataset='film', industry='film', label=label, width=SIZE, height=SIZE, mode='RGB', sha256=file_sha256(p)))
    save_voc(items_frame(rows), tmp/'zoo/film')
    return build_corpus(load_zoo(tmp/'zoo'), tmp/'corpora')

(tmp/'raw').mkdir()
c = invent()
px, how = packed(c.items['root'].iloc[0], SIZE), dict(size=SIZE, crop=CROP, flip='h', aug=[], bs=o.bs, stats=stats)
for i, p in zip(c.items['row'], c.items['path']): assert (px[i] == np.asarray(Image.open(p).convert('RGB'))).all(), p
for a, b, _ in zip(get_dls(c, **how).train, get_dls(c, packed=False, **how).train, range(10)): assert torch.equal(*map(torch.Tensor, (a[0], b[0]))) and (a[1] == b[1]).all()
print(f'{len(c)} images: packed pixels equal the decoded files, batches from both are the same')

for i, (cls, p) in enumerate(zip(c.items['cls'], c.items['path'])):
    (folder := tmp/'folder'/cls.replace('/', '-')).mkdir(parents=True, exist_ok=True)
    os.link(p, folder/f'{i}.jpg')

def fastai(workers):
    tfms = dict(item_tfms=[RandomCrop(CROP), FlipItem(.5)], batch_tfms=Normalize.from_stats(*stats, cuda=False))
    df = pd.DataFrame(dict(path=c.items['path'], cls=c.items['cls']))
    return ImageDataLoaders.from_df(df, '/', valid_pct=0, bs=o.bs, num_workers=workers, persistent_workers=workers > 0, **tfms).train

def torchvision(workers):
    tfms = T.Compose([T.RandomCrop(CROP), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(*stats)])
    return torch.utils.data.DataLoader(ImageFolder(tmp/'folder', tfms), o.bs, shuffle=True, num_workers=workers, drop_last=True,
                                       persistent_workers=True)       # the best of several epochs: workers have started by then

def bare():
    "A memory map and nothing else: no seed, no labels of their own type, no fastai"
    order, y, (mean, std) = rng.permutation(len(c)), rng.integers(0, 10, len(c)), (torch.tensor(s).repeat(CROP) for s in stats)
    for at in order[:len(c)//o.bs*o.bs].reshape(-1, o.bs):
        out = np.empty((o.bs, CROP, CROP, 3), np.uint8)
        for a, i, (top, left), turn in zip(out, at, rng.integers(0, SIZE - CROP + 1, (o.bs, 2)), rng.random(o.bs) < .5):
            a[:] = px[i, top:top + CROP, left:left + CROP][:, ::-1 if turn else 1]
        x = torch.from_numpy(out).view(o.bs, CROP, -1).float().div_(255).sub_(mean).div_(std)
        yield x.view(out.shape).permute(0, 3, 1, 2), torch.from_numpy(y[at])

ours = get_dls(c, **how).train
if o.profile:
    import cProfile, pstats
    with cProfile.Profile() as prof: [None for _ in range(3) for _ in ours]
    pstats.Stats(prof).sort_stats('tottime').print_stats(15)
    raise SystemExit

arms = {'srisc_tl': lambda: ours, 'memory map, bare': bare, 'fastai, no workers': lambda d=fastai(0): d, 'fastai, 2 workers': lambda d=fastai(2): d,
        'torchvision, 2 workers': lambda d=torchvision(2): d}
best = {}
for _ in range(o.repeats):            # arms in turn, so that a drift of the machine meets all of them
    for threads in o.threads:
        torch.set_num_threads(threads)
        for name, make in arms.items():
            t, n = time.perf_counter(), 0
            for x, y in make(): n += 1
            assert x.shape == (o.bs, 3, CROP, CROP) and x.dtype == torch.float32
            best[name] = max(best.get(name, (0, 0)), (n/(time.perf_counter() - t), threads))
mine = best['srisc_tl'][0]
for name, (v, k) in best.items(): print(f'{name:24} {v:7.1f} batches/s   {v*o.bs:8.0f} images/s   with {k} torch thread(s)   ours is {mine/v:5.2f} times as fast')
for peer, bar in (('fastai', 5), ('torchvision', 2.5)):
    ratio = mine/max(v for name, (v, _) in best.items() if name.startswith(peer))
    print(f'against {peer} at its best: {ratio:.1f} (bar {bar}) {"met" if ratio >= bar else "MISSED"}')
