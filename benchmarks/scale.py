"""Does memory stay flat, and time linear? Build, packing, an epoch of pretraining and a pass of features over 10,000 and over 100,000 invented images,
each in a process of its own: seconds of the work without imports, and the process' memory at its peak, imports and tables in it.

    python benchmarks/scale.py [--sizes 10000,100000] [--steps build,pack,epoch,features] [--out DIR] [--jobs 1]

Images are 48 x 40, grey, a kB each and all different, in eight classes of two sets; fingerprints are drawn, or the copies of noise would be looked for in pixels.
The body is timm's test_resnet at 32 px: what is measured is the way of the images, not the network."""
import argparse, hashlib, json, os, resource, subprocess, sys, tempfile, time, warnings
from pathlib import Path
warnings.filterwarnings('ignore')
os.environ.setdefault('OMP_NUM_THREADS', '1')

ap = argparse.ArgumentParser()
for name, default in dict(sizes='10000,100000', steps='build,pack,epoch,features', out='', jobs=1, one='', n=0, side=32).items():
    ap.add_argument(f'--{name}', type=type(default), default=default)
o = ap.parse_args()

def draw(out, n):
    "Two sets as `load_zoo` gives them, their tables kept"
    import io
    import numpy as np, pandas as pd
    from PIL import Image
    from srisc_tl.convention import items_frame, save_items
    rng = np.random.default_rng(n)
    for s in ('noise_a', 'noise_b'):
        d, rows = out/'zoo'/s/'JPEGImages', []
        d.mkdir(parents=True)
        for i in range(n//2):
            Image.fromarray(rng.integers(0, 256, (5, 6), np.uint8)).resize((48, 40)).save(f := io.BytesIO(), 'PNG')
            (d/f'{i}.png').write_bytes(f.getvalue())
            rows.append(dict(path=str(d/f'{i}.png'), dataset=s, industry='film', label=f'c{i % 4}', group=str(i), width=48, height=40, mode='L',
                             sha256=hashlib.sha256(f.getvalue()).hexdigest(), phash=rng.bytes(8).hex()))
        save_items(items_frame(pd.DataFrame(rows)), d.parent/'items.parquet')

def zoo(out):
    from srisc_tl.convention import load_items
    more = dict(derived_from='', prep='resize', normal='', natural=False, license='')
    return {p.parent.name: load_items(p).assign(**more) for p in sorted((out/'zoo').glob('*/items.parquet'))}

def corpus(out):
    from srisc_tl.build import TRAINS_ON, load_corpus
    return load_corpus(next((out/'corpora').glob('srisc-*')), TRAINS_ON)

def build(out, clock):
    from srisc_tl.build import build_corpus
    tables = zoo(out)
    with clock: return len(build_corpus(tables, out/'corpora', n_jobs=o.jobs, pack=()))

def pack(out, clock):
    from srisc_tl.pixels import packed
    root = next((out/'corpora').glob('srisc-*'))
    with clock: return len(packed(root, o.side, n_jobs=o.jobs))

def epoch(out, clock):
    import torch
    from srisc_tl.pretrain import Stage, pretrain
    from srisc_tl.training import Recipe
    torch.set_num_threads(1)
    c = corpus(out)
    with clock: pretrain((Stage(c),), 'test_resnet', out/'ckpt', Recipe(epochs=1, size=o.side, bs=64))
    return len(c)

def features(out, clock):
    import torch
    from srisc_tl.backbone import load_checkpoint
    from srisc_tl.features import features
    torch.set_num_threads(1)
    c, ckpt = corpus(out), load_checkpoint(next((out/'ckpt').glob('*/checkpoint.json')).parent)
    with clock: return len(features(ckpt, c, out/'features').f)

class Clock:
    def __enter__(self): self.t = time.time()
    def __exit__(self, *_): self.s = time.time() - self.t

def peak(): return max(resource.getrusage(w).ru_maxrss for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))/1024    # of a worker, where there are some

def child(step, n, out):
    cmd = [sys.executable, __file__, '--one', step, '--n', str(n), '--out', str(out), '--jobs', str(o.jobs), '--side', str(o.side)]
    return json.loads(subprocess.run(cmd, check=True, capture_output=True, text=True).stdout.splitlines()[-1])

def main():
    tmp = None if o.out else tempfile.TemporaryDirectory()
    root, sizes, found = Path(o.out or tmp.name), [int(s) for s in o.sizes.split(',')], {}
    for n in sizes:
        if not (root/f'{n}/zoo').is_dir(): draw(root/f'{n}', n)
        for step in o.steps.split(','):
            found[step, n] = child(step, n, root/f'{n}')
            print(step, n, found[step, n], file=sys.stderr, flush=True)
    few, many = sizes[0], sizes[-1]
    print(f'| | {few:,} images, s | {many:,}, s | ratio | {few:,} images, MB | {many:,}, MB | ratio |\n|---|---|---|---|---|---|---|')
    for step in o.steps.split(','):
        a, b = found[step, few], found[step, many]
        print(f"| {step} | {a['s']:.1f} | {b['s']:.1f} | {b['s']/a['s']:.2f} | {a['mb']:,.0f} | {b['mb']:,.0f} | {b['mb']/a['mb']:.3f} |")

if o.one:
    seen = globals()[o.one](Path(o.out), clock := Clock())
    assert seen >= .99*o.n, f'{seen} of {o.n} images'
    print(json.dumps(dict(s=round(clock.s, 2), mb=round(peak()))))
elif __name__ == '__main__': main()
