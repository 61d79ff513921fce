"""Time of a training step by strategy, over the step of plain fine-tuning (`full`), in one run on one thread: a real fit of one epoch each,
rounds in random order, median of the rounds' ratios with quartiles. What is done once, before the first step (a probed head, attention,
category relations), is a column of its own.

    python benchmarks/strategies.py [--size 64] [--bs 16] [--steps 6] [--rounds 9] [--arch tf_efficientnet_lite0] [--only l2sp,bss]
"""
import argparse, os, random, tempfile, time, warnings
from pathlib import Path
warnings.filterwarnings('ignore')
os.environ.setdefault('OMP_NUM_THREADS', '1')

ap = argparse.ArgumentParser()
for name, default in dict(size=64, bs=16, steps=6, rounds=9, arch='tf_efficientnet_lite0', only='').items(): ap.add_argument(f'--{name}', type=type(default), default=default)
o = ap.parse_args()

import numpy as np
import pandas as pd
import torch
torch.set_num_threads(int(os.environ['OMP_NUM_THREADS']))
from fastai.vision.all import Callback
from srisc_tl.backbone import get_model, save_checkpoint
from srisc_tl.build import build_corpus
from srisc_tl.consolidate import load_zoo
from srisc_tl.convention import Dataset
from srisc_tl.finetune import STRATEGIES, finetune
from srisc_tl.splits import take_per_class
from srisc_tl.standardise import standardise
from srisc_tl.synth_zoo import synth_declarations, synth_zoo
from dataclasses import replace

BARS = dict(l2sp=1.1, l2sp_all=1.1, l2sp_fisher=1.1, bss=1.2, stochnorm=1.2, cotuning=1.15, delta=1.6, lwf=1.6)

class Clock(Callback):
    "Seconds of a step, between the starts of two; seconds before the first"
    order = 90
    def after_create(self): self.made = time.perf_counter()
    def before_batch(self): self.at.append(time.perf_counter())
    def before_train(self): self.at, self.once = [], time.perf_counter() - self.made
    @property
    def step(self): return float(np.median(np.diff(self.at)))

tmp = Path(tempfile.mkdtemp())
names = ['syn_steel', 'syn_component']
synth_zoo(tmp/'raw', datasets=names)
for n in names: standardise(Dataset(**synth_declarations()[n]), tmp/'raw', tmp/'zoo')
source, target = (build_corpus(load_zoo(tmp/'zoo'), tmp/'corpora', n, datasets=[n], pack=(o.size,)) for n in names)
target = take_per_class(target, -(-o.steps*o.bs//len(target.classes)), seed=0)
ckpt = save_checkpoint(get_model(o.arch, len(source.classes)), tmp/'c', dict(arch=o.arch, n_in=3, classes=list(source.classes)))

def clocked(k):
    s, clock = STRATEGIES[k], Clock()
    finetune(ckpt, target, replace(s, cbs=lambda start: [*s.cbs(start), clock]), 1, o.size, o.bs, source=source, tick=os.devnull)
    return clock

arms, rows = o.only.split(',') if o.only else list(STRATEGIES), []
for r in range(-1, o.rounds):                                  # the first round warms up
    found = {k: clocked(k) for k in random.Random(r).sample(['full', *(a for a in arms if a != 'full')], len(set(arms) | {'full'}))}
    if r >= 0: rows += [dict(strategy=k, ratio=c.step/found['full'].step, ms=1e3*c.step, once=c.once - found['full'].once) for k, c in found.items()]
df = pd.DataFrame(rows).groupby('strategy').agg(ratio=('ratio', 'median'), low=('ratio', lambda v: v.quantile(.25)), high=('ratio', lambda v: v.quantile(.75)),
                                               ms=('ms', 'median'), once_s=('once', 'median')).round(3)
df['bar'] = df.index.map(BARS)
print(f'{o.arch}, {o.size} px, {len(target)} images, batches of {o.bs}, {o.rounds} rounds')
print(df.sort_values('ratio').to_string())
