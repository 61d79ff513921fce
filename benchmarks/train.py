"""Images a second of a real pretraining beside what bounds it, in one run on one thread: the same step (the same fastai `Learner`) on one
constant batch already in memory, a hand-written PyTorch loop on such a batch, and fastai's `ImageDataLoaders` on the same image files.
Only the fit is timed. Ratios are what counts; the machine's speed drifts, so the arms take turns.

    python benchmarks/train.py [--size 96] [--images 256] [--arch tf_efficientnet_lite0] [--precision fp32]
    python benchmarks/train.py --memory        # peak memory of an epoch over 10,000 and over 100,000 images, each in a process of its own
"""
import argparse, os, resource, subprocess, sys, tempfile, time, warnings
from pathlib import Path
warnings.filterwarnings('ignore')
os.environ.setdefault('OMP_NUM_THREADS', '1')

ap = argparse.ArgumentParser()
for name, default in dict(size=96, images=256, repeats=15, bs=32, arch='tf_efficientnet_lite0', precision='fp32', rows=0).items():
    ap.add_argument(f'--{name}', type=type(default), default=default)
ap.add_argument('--memory', action='store_true')
o = ap.parse_args()

def synth_corpus(tmp):
    from srisc_tl.build import build_corpus
    from srisc_tl.consolidate import load_zoo
    from srisc_tl.convention import Dataset
    from srisc_tl.standardise import standardise
    from srisc_tl.synth_zoo import synth_declarations, synth_zoo
    names = ['syn_steel', 'syn_board_crop', 'syn_weave', 'syn_cell_mono']
    synth_zoo(tmp/'raw', datasets=names)
    for n in names: standardise(Dataset(**synth_declarations()[n]), tmp/'raw', tmp/'zoo')
    return build_corpus(load_zoo(tmp/'zoo'), tmp/'corpora', pack=(o.size,))

def large_corpus(tmp, n):
    "n image files, few different ones under many names: what grows is the table and the packed pixels"
    import numpy as np
    from srisc_tl.build import load_corpus
    from srisc_tl.convention import save_items
    small = synth_corpus(tmp)
    root = Path(small.items['root'].iloc[0])
    big = root.with_name('big-0')
    (big/'JPEGImages').mkdir(parents=True)
    rows = small.items.drop(columns=['root', 'row']).iloc[np.arange(n) % len(small)].reset_index(drop=True)
    paths = [str(big/'JPEGImages'/f'{i:06}{Path(p).suffix}') for i, p in enumerate(rows['path'])]
    for src, dst in zip(rows['path'], paths): os.link(src, dst)
    save_items(rows.assign(path=paths), big/'items.parquet')
    (big/'corpus.json').write_text((root/'corpus.json').read_text())
    return load_corpus(big)

def peak(rows):
    "One epoch over `rows` images, packed before by another process; MB at the peak"
    from srisc_tl.build import TRAINS_ON, load_corpus
    from srisc_tl.pretrain import Session, Stage
    from srisc_tl.training import Recipe
    c, tmp = load_corpus(Path(os.environ['BIG'])/'corpora/big-0', TRAINS_ON), tempfile.mkdtemp()      # as `srisc_pretrain` opens it
    learn = Stage(c).learner(None, 'key', 'mobilenetv3_small_050', Recipe(epochs=1, bs=64, size=o.size), 0, Session(tmp))
    with learn.no_logging(): learn.fit_one_cycle(1, 1e-3)
    print(rows, round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024))

if o.rows: peak(o.rows), sys.exit()
if o.memory:
    found = {}
    for n in (10_000, 100_000):
        tmp = Path(tempfile.mkdtemp(dir=os.environ.get('BENCH_TMP')))
        from srisc_tl.pixels import packed
        packed(large_corpus(tmp, n).items['root'].iloc[0], o.size)
        t = time.time()
        said = subprocess.run([sys.executable, __file__, '--rows', str(n), '--size', str(o.size)], env={**os.environ, 'BIG': str(tmp)}, capture_output=True, text=True, check=True).stdout
        found[n] = int(said.split()[-1])
        print(f'{n:,} images: {found[n]:,} MB at the peak, {time.time() - t:.0f} s')
        import shutil; shutil.rmtree(tmp)
    print(f'ratio {found[100_000]/found[10_000]:.3f}')
    sys.exit()

import numpy as np
import torch
from fastai.vision.all import CrossEntropyLossFlat, ImageDataLoaders, Learner, Pipeline, Resize, aug_transforms
from srisc_tl.backbone import get_model
from srisc_tl.pretrain import Session, Stage
from srisc_tl.training import NoValid, Recipe

torch.set_num_threads(1)
tmp = Path(tempfile.mkdtemp())
c = synth_corpus(tmp)
n, recipe = o.images//o.bs*o.bs, Recipe(epochs=1, bs=o.bs, size=o.size, epoch_len=o.images//o.bs*o.bs, precision=o.precision)
device = 'cuda' if torch.cuda.is_available() else 'cpu'

def timed(f):
    sync = torch.cuda.synchronize if device == 'cuda' else lambda: None
    sync(); t = time.perf_counter(); f(); sync()
    return time.perf_counter() - t

def loop(fmt=torch.channels_last):
    "By hand: forward, backward, AdamW in one call, one-cycle schedule, one batch in memory"
    model = get_model(o.arch, len(c.classes)).train().to(device, memory_format=fmt)
    x, y = torch.randn(o.bs, 3, o.size, o.size, device=device).to(memory_format=fmt), torch.randint(0, len(c.classes), (o.bs,), device=device)
    opt = torch.optim.AdamW(model.parameters(), fused=True)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, recipe.lr, n//o.bs)
    def run():
        for _ in range(n//o.bs):
            with torch.autocast(device, torch.bfloat16, enabled=o.precision == 'bf16'): loss = torch.nn.functional.cross_entropy(model(x).float(), y)
            loss.backward()
            opt.step(), sched.step(), opt.zero_grad()
    return timed(run)

def stage(constant):
    "A real stage: packed pixels, draws, augmentation; or the same learner on its first batch again and again"
    learn = Stage(c).learner(None, 'key', o.arch, recipe, 0, Session(tmp/f'ckpt{time.time()}', tick=os.devnull))
    if constant:
        dl = learn.dls.train
        b = dl.one_batch()
        dl.create_batches, dl.after_batch = lambda samps: (b for _ in range(n//o.bs)), Pipeline()
    with learn.no_logging(): return timed(lambda: learn.fit_one_cycle(1, recipe.lr))

def plain():
    "fastai as it comes: image files decoded by the loader, contiguous tensors"
    df = c.items[['path', 'cls']].sample(n, replace=True, random_state=0)
    dls = ImageDataLoaders.from_df(df, path='/', valid_pct=.1, bs=o.bs, num_workers=0, item_tfms=Resize(o.size), batch_tfms=aug_transforms(), device=device)
    learn = Learner(dls, get_model(o.arch, len(dls.vocab)), CrossEntropyLossFlat(), cbs=NoValid())
    with learn.no_bar(), learn.no_logging(): return timed(lambda: learn.fit_one_cycle(1, 1e-3))/.9

arms = {'hand-written loop, constant batch, contiguous': lambda: loop(torch.contiguous_format), 'hand-written loop, constant batch': loop,
        'our Learner, constant batch': lambda: stage(True), 'our Learner, real stage': lambda: stage(False), 'fastai ImageDataLoaders': plain}
spent = {name: [] for name in arms}
order = np.random.default_rng(0)
for _ in range(o.repeats):            # in every round each arm once, in random order: a drift of the machine meets all of them
    for name in order.permutation([*arms]): spent[name].append(arms[name]())
real = np.array(spent['our Learner, real stage'])
print(f'{o.arch}, {o.size} px, {o.precision}, {device}, {n} images, {o.repeats} rounds; the ratio is the median over rounds, with the quartiles')
for name, t in spent.items():
    q = np.quantile(np.array(t)/real, (.25, .5, .75))
    print(f'{name:46} {n/np.median(t):7.1f} images/s   the real stage is {q[1]:.3f} of it  [{q[0]:.3f}, {q[2]:.3f}]')
