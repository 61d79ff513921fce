"""Transfer of architecture: the body that learns the source best, from scratch on each target, against the package's default body from scratch.
Trials go to a store as they come; started again, it goes on where it was stopped.

    python benchmarks/architecture.py --corpora CORPORA [--out checkpoints] [--store architecture.db] [--seeds 5] [--per-class 10,30] [--report]

The source is the corpus `srisc` without the targets; bodies are compared on images of it that were held back, two trainings each, 2 epochs of
2,500 images at 64 pixels. Target and source share no image, and the target is not asked.
"""
import argparse, os, warnings
from pathlib import Path
warnings.filterwarnings('ignore')
os.environ.setdefault('OMP_NUM_THREADS', '1')

ap = argparse.ArgumentParser()
for name, default in dict(corpora='corpora', out='checkpoints', store='architecture.db', seeds=5, size=64, epochs=40, n_jobs=2).items():
    ap.add_argument(f'--{name.replace("_", "-")}', type=type(default), default=default)
ap.add_argument('--targets', default='electronic_components,mvtec_bottle,optical_film,phone_screen')
ap.add_argument('--per-class', default='10,30')
ap.add_argument('--report', action='store_true', help='only print the tables')
o = ap.parse_args()

from srisc_tl.architecture import rank_bodies
from srisc_tl.build import load_corpus
from srisc_tl.chain import Run, Settings
from srisc_tl.comparison import paired_test, summarize
from srisc_tl.experiment import Store, grid, run_study
from srisc_tl.finetune import revision
from srisc_tl.training import Recipe

DEFAULT, RECIPE = 'tf_efficientnet_lite0', Recipe(epochs=2, size=o.size, epoch_len=2500)

def main():
    roots = {p.name.rsplit('-', 1)[0]: p for p in sorted(Path(o.corpora).iterdir()) if (p/'corpus.json').is_file()}
    targets, source = o.targets.split(','), load_corpus(roots['srisc'])
    if inside := set(targets) & set(source.items['dataset']): raise SystemExit(f'{sorted(inside)}: part of the source')
    bodies = rank_bodies(source, out=o.out, recipe=RECIPE, repeats=2, n_jobs=o.n_jobs)
    print(bodies.round(3).to_string(), flush=True)
    chosen = bodies.index[0]
    fixed = dict(size=o.size, epochs=o.epochs, target=lambda t: load_corpus(roots[t.target]).hash, split=0, finetuning=revision('full'))
    trials = [t for a in dict.fromkeys((DEFAULT, chosen)) for t in
              grid('architecture', targets, range(o.seeds), [int(n) for n in o.per_class.split(',')], ('scratch',), ('full',), arch=a, **fixed)]
    run = Run({('scratch', t, k): '' for t in targets for k in range(o.seeds)}, {t: str(roots[t]) for t in targets}, Settings(tuple(targets)))
    if not o.report: run_study(trials, run, Store(o.store), o.n_jobs)
    df = Store(o.store).frame()
    for n, part in df[df['status'] == 'ok'].groupby('per_class'):
        print(f'\n{n} images a class\n{summarize(part, ["target", "arch"]).round(3).to_string()}')
        if chosen != DEFAULT: print(f'{chosen} - {DEFAULT}: {paired_test(part, chosen, DEFAULT, "arch")}')

if __name__ == '__main__': main()
