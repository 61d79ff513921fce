"""Images a second of a real pretraining, side by side with what bounds it, in one run on one thread:
a constant batch through a hand-written PyTorch loop (contiguous and channels-last), our `Stage` on a corpus, and fastai's `ImageDataLoaders`
on the same image files. Ratios are what counts; the machine's speed drifts.

    python benchmarks/train.py [--size 96] [--images 512]
"""
import argparse, os, tempfile, time, warnings
from pathlib import Path
warnings.filterwarnings('ignore')
os.environ.setdefault('OMP_NUM_THREADS', '1')

ap = argparse.ArgumentParser()
ap.add_argument('--size', type=int, default=96), ap.add_argument('--images', type=int, default=512), ap.add_argument('--repeats', type=int, default=3)
o = ap.parse_args()

import torch
from fastai.vision.all import ImageDataLoaders, Learner, CrossEntropyLossFlat, Resize, aug_transforms
from srisc_tl.backbone import get_model
from srisc_tl.consolidate import load_zoo
from srisc_tl.convention import Dataset
from srisc_tl.build import build_corpus
from srisc_tl.corpus import packed
from srisc_tl.pretrain import NoValid, Recipe, Stage
from srisc_tl.standardise import standardise
from srisc_tl.synth_zoo import synth_declarations, synth_zoo

torch.set_num_threads(1)
tmp, names = Path(tempfile.mkdtemp()), ['syn_steel', 'syn_board_crop', 'syn_weave', 'syn_cell_mono']
synth_zoo(tmp/'raw', datasets=names)
for n in names: standardise(Dataset(**synth_declarations()[n]), tmp/'raw', tmp/'zoo')
c = build_corpus(load_zoo(tmp/'zoo'), tmp/'corpora')
packed(c.items['root'].iloc[0], o.size)
n, bs, arch = o.images//32*32, 32, 'tf_efficientnet_lite0'

def loop(fmt):
    "The limit: one batch in memory, forward, backward, AdamW"
    model = get_model(arch, len(c.classes)).train().to(memory_format=fmt)
    x, y = torch.randn(bs, 3, o.size, o.size).to(memory_format=fmt), torch.randint(0, len(c.classes), (bs,))
    opt = torch.optim.AdamW(model.parameters())
    for _ in range(n//bs):
        torch.nn.functional.cross_entropy(model(x), y).backward()
        opt.step(), opt.zero_grad()

def ours(): Stage(c).train(None, f'k{time.time()}', arch, tmp/'ckpt', Recipe(epochs=1, bs=bs, size=o.size, epoch_len=n), 0, os.devnull)

def plain():
    "fastai as it comes: image files decoded by the loader, contiguous tensors"
    df = c.items[['path', 'cls']].sample(n, replace=True, random_state=0)
    dls = ImageDataLoaders.from_df(df, path='/', valid_pct=.1, bs=bs, num_workers=0, item_tfms=Resize(o.size), batch_tfms=aug_transforms())
    learn = Learner(dls, get_model(arch, len(dls.vocab)), CrossEntropyLossFlat(), cbs=NoValid())
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1, 1e-3)

arms = {'constant batch, contiguous': lambda: loop(torch.contiguous_format), 'constant batch, channels-last': lambda: loop(torch.channels_last),
        'srisc_tl Stage': ours, 'fastai ImageDataLoaders': plain}
best = dict.fromkeys(arms, 0.)
for _ in range(o.repeats):            # arms in turn, so that a drift of the machine meets all of them
    for name, f in arms.items():
        t = time.perf_counter(); f()
        best[name] = max(best[name], (n*.9 if name.startswith('fastai') else n)/(time.perf_counter() - t))
limit = best['constant batch, channels-last']
for name, v in best.items(): print(f'{name:32} {v:7.1f} images/s   {v/limit:5.2f} of the channels-last limit')
