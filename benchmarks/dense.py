"""Segmentation and detection from ImageNet weights against ImageNet → SRISC: the same body, head, images, budget and seeds, only the body's weights differ.
A row a run goes to a JSON-lines file as it comes; started again, it goes on where it was stopped.

    python benchmarks/dense.py --corpora /work/z5/corpora --out dense.jsonl [--targets magnetic_tile,...] [--seeds 3] [--report]

Sources hold no image of a target: the five boards of DeepPCB were excluded when the corpus was built (six other boards are in it), and the targets that
lie inside of it (`INSIDE`) are taken out before the source is trained; what else looks like them is sought and taken out, too.
`phone_screen` is no target: its published masks lie 24 to 80 pixels beside the scratches that they mean, each by another way.
The source of a seed is trained with that seed: ImageNet weights, then SRISC, two epochs of 2,500 images at 64 pixels.
"""
import argparse, json, os, sys, time, warnings
from dataclasses import replace
from pathlib import Path
warnings.filterwarnings('ignore')
os.environ.setdefault('OMP_NUM_THREADS', '1')

ap = argparse.ArgumentParser()
for name, default in dict(corpora='corpora', out='dense.jsonl', checkpoints='', targets='', arms='imagenet,srisc', arch='tf_efficientnet_lite0', seeds=3, size=128,
                          bs=8, part='test').items(): ap.add_argument(f'--{name}', type=type(default), default=default)
ap.add_argument('--report', action='store_true', help='only print the tables')
ap.add_argument('--lr', type=float, help='of the head; default the strategy\'s')
ap.add_argument('--epochs', type=int, help='default as TARGETS says')
o = ap.parse_args()

import numpy as np
import pandas as pd
import torch
torch.set_num_threads(int(os.environ['OMP_NUM_THREADS']))
from srisc_tl.build import load_corpus
from srisc_tl.comparison import describe, paired_differences, summarize
from srisc_tl.corpus import subset, union
from srisc_tl.dense import BoxData, MaskData
from srisc_tl.detection import box_scores, det_learner, predict_boxes
from srisc_tl.duplicates import find_leaks
from srisc_tl.pretrain import Published, Stage, pretrain
from srisc_tl.pyramid import fit_dense
from srisc_tl.segmentation import mask_scores, predict_masks, seg_learner
from srisc_tl.splits import split_target, take_per_class
from srisc_tl.training import Recipe

INSIDE = ['magnetic_tile', 'wafer_microscope', 'neu_det'] # targets that lie in the corpus `srisc`
TARGETS = dict(                                           # task, training images a class at most, epochs
    magnetic_tile=('segment', 15, 20), wafer_microscope=('segment', 9, 20), boards=('detect', 15, 30), neu_det=('detect', 20, 30))
VALUE = dict(segment='miou', detect='map')
corpora = {p.name.rsplit('-', 1)[0]: p for p in sorted(Path(o.corpora).iterdir()) if (p/'corpus.json').is_file()}

def boards():
    "Five boards that no source has seen: two are tested on, one is for choosing, two are trained on"
    names = [n for n in corpora if n.startswith('deeppcb_boards_')]
    def part(names):
        c = union(*(load_corpus(corpora[n]) for n in names))
        return replace(c, items=c.items.assign(cls='boards/' + c.items['label']), name='boards')
    return dict(train=part(names[:2]), valid=part(names[2:3]), test=part(names[3:]))

def parts(target):
    if target == 'boards': return boards()
    return split_target(subset(load_corpus(corpora['srisc']), datasets=[target]) if target in INSIDE else load_corpus(corpora[target]))

def source(arm, seed):
    "The checkpoint that an arm starts from"
    stages, out = [Published()], o.checkpoints or Path(o.out).with_suffix('.checkpoints')
    if arm == 'srisc':
        srisc = load_corpus(corpora['srisc'])
        c = subset(srisc, datasets=sorted(set(srisc.items['dataset']) - set(INSIDE)), name='srisc_dense')
        alike = sum((find_leaks(c.items, subset(srisc, datasets=[t]).items) != '').to_numpy() for t in INSIDE) > 0
        stages.append(Stage(replace(c, items=c.items[~alike].reset_index(drop=True))))
        print(f'source of seed {seed}: {len(c):,} images, {alike.sum()} look like a target and are left out', flush=True)
    return pretrain(tuple(stages), o.arch, out, Recipe(epochs=2, epoch_len=2500, size=64), seed)

def run(target, arm, seed):
    task, n, epochs = TARGETS[target]
    p, ckpt, kw = parts(target), source(arm, seed), dict(size=o.size, bs=o.bs, seed=seed)
    train, epochs = take_per_class(p['train'], n, seed), o.epochs or epochs
    t = time.time()
    if task == 'segment':
        learn, test = seg_learner(ckpt, train, binary=True, **kw), MaskData(p[o.part], o.size, ['defect'])
        pred, y = predict_masks(fit_dense(learn, epochs, o.lr), test)
        scores = mask_scores(pred, y, test.vocab) | dict(all_background=mask_scores(pred*0, y, test.vocab)['miou'])
    else:
        classes = sorted({b[0] for k in p.values() for boxes in k.items['boxes'] for b in boxes})
        learn, test = det_learner(ckpt, train, classes, **kw), BoxData(p[o.part], o.size, classes)
        scores = box_scores(*predict_boxes(fit_dense(learn, epochs, o.lr), test), classes)
    return dict(target=target, task=task, arm=arm, seed=seed, part=o.part, arch=o.arch, size=o.size, bs=o.bs, epochs=epochs, lr=o.lr, ckpt=ckpt.hash, train=len(train), test=len(test),
                left_out=len(test.left_out) + len(learn.dls.train.source.left_out), loss=float(learn.recorder.smooth_loss.value), seconds=round(time.time() - t, 1), **scores)

def report(df):
    for task, value in VALUE.items():
        d = df[df.task == task]
        if not len(d): continue
        print(f'\n{task}: {value}, mean and 95 % interval')
        print(summarize(d, ('target', 'arm'), value).round(4).to_string(index=False))
        if task == 'segment': print(d.groupby('target')[['all_background']].first().round(4).T.to_string())
        other = 'dice' if task == 'segment' else 'map_50'
        print(d.groupby(['target', 'arm'])[other].agg(['mean', 'std', 'count']).round(4).to_string())
        if {'srisc', 'imagenet'} <= set(d.arm):
            diff = paired_differences(d, 'srisc', 'imagenet', 'arm', value)
            print('srisc - imagenet, pairs of one seed:')
            print(pd.DataFrame({t: describe(v) for t, v in diff.groupby('target')}).T.round(4).to_string())

def rows(): return [json.loads(l) for l in Path(o.out).read_text().splitlines()] if Path(o.out).is_file() else []

key = lambda r: tuple(r[k] for k in ('target', 'arm', 'seed', 'part', 'arch', 'size', 'bs', 'epochs', 'lr'))
names = o.targets.split(',') if o.targets else list(TARGETS)
for seed in range(0 if o.report else o.seeds):
    for target in [] if o.report else names:
        for arm in o.arms.split(','):
            if (target, arm, seed, o.part, o.arch, o.size, o.bs, o.epochs or TARGETS[target][2], o.lr) in {key(r) for r in rows()}: continue
            row = run(target, arm, seed)
            with open(o.out, 'a') as f: f.write(json.dumps(row) + '\n')
            print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
report(pd.DataFrame(rows()).query('part == @o.part'))
