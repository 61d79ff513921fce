"""Table work on invented rows: seconds of each step, and the peak memory of the process, with the table and all imports in it. Each size
runs in a process of its own. Rows are made set by set while the table grows, as a generator would read them from disk; that is not counted.

    python benchmarks/tables.py [--rows 1_000_000 10_000_000]

Wanted: ten million rows within 60 s and 6 GB, and at most 12 times the time of one million.
"""
import argparse, json, os, resource, subprocess, sys, time

def run(o):
    "All steps on one size"
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc
    from binascii import hexlify
    from PIL import Image
    from srisc_tl import duplicates
    from srisc_tl.build import Corpus
    from srisc_tl.consolidate import consolidate, drop_rows
    from srisc_tl.convention import ITEM_DEFAULTS
    from srisc_tl.duplicates import drop_duplicates, find_leaks
    from srisc_tl.preprocess import under_sample
    each = o.rows[0]//o.sets

    def hexadecimal(rng, n, digits):
        "Random texts, straight as a column of Arrow"
        text = hexlify(rng.bytes(n*digits//2))
        return pa.LargeStringArray.from_buffers(n, pa.py_buffer(np.arange(n + 1)*digits), pa.py_buffer(text))

    def invent(i, n, name):
        "A set as `load_zoo` gives it: ten classes of unequal size, every hundredth file twice, some of them under another label"
        rng = np.random.default_rng(i)
        label = np.minimum(rng.geometric(.3, n), 10)
        again = np.arange(n) - np.where(np.arange(n) % 100 == 99, rng.integers(1, 50, n), 0)
        fixed = dict(dataset=name, industry=f'field {i % 7}/kind {i % 20}/part {i}', split='', mode='RGB', mask='', prep='auto', normal='',
                     derived_from='target' if i % 50 == 1 else '')
        text = dict(path=pc.binary_join_element_wise(f'/data/zoo/{name}/JPEGImages/', pa.array(np.arange(n)).cast(pa.string()), '.png', ''),
                    label=pc.binary_join_element_wise('class', pa.array(label).cast(pa.string()), ' '),
                    group=pc.binary_join_element_wise('lot', pa.array(np.arange(n)//40).cast(pa.string()), ' '),
                    sha256=hexadecimal(rng, n, 64).take(pa.array(again)), phash=hexadecimal(rng, n, 16).take(pa.array(again)),
                    **{k: pa.repeat(v, n) for k, v in fixed.items()})
        df = pa.table({k: v.cast(pa.large_string()) for k, v in text.items()}).to_pandas()
        df = df.assign(width=rng.integers(64, 2000, n), height=rng.integers(64, 2000, n), boxes=[[]]*n, natural=False)
        return df[[*ITEM_DEFAULTS, 'derived_from', 'prep', 'normal', 'natural']]

    spent = {}
    def timed(name, work, *args, **kwargs):
        t = time.perf_counter()
        out = work(*args, **kwargs)
        spent[name] = spent.get(name, 0) + time.perf_counter() - t
        return out

    def tables():
        "Set by set, in no order, as they come: each is made (no part of any step), freed of its own duplicates, and let go"
        for i in np.random.default_rng(0).permutation(o.sets):
            df = timed('making', invent, int(i), each, f'set{i:03d}')
            yield timed(f'{DROP}, set by set', drop_duplicates, df, near=False)[0]

    duplicates._thumbnail = lambda path: (Image.new('F', (9, 9)), (9, 9), False)  # candidates of the leak guard pass, unopened
    DROP = 'drop exact duplicates'
    t = time.perf_counter()
    df = consolidate(tables())
    spent['consolidate'] = time.perf_counter() - t - sum(spent.values())
    twin = df.iloc[:5000].assign(dataset='twin', path=df['path'].iloc[:5000] + '2')   # of the first set; it comes last, and goes
    df = pd.concat([df, twin], ignore_index=True)
    df, _ = timed(f'{DROP}, across sets', drop_duplicates, df, near=False)
    target = df[df['dataset'].isin([f'set{i:03d}' for i in range(2, 7)])].sample(o.target, random_state=0)
    other = target['sha256'].where(np.arange(o.target) % 2 == 0, target['sha256'].str[::-1]) # half: the same picture, another file
    target = target.assign(dataset='target', derived_from='', sha256=other)
    why = timed('leak guard', find_leaks, df, target)
    df = timed('leak guard', drop_rows, df, why != '')
    cut = timed('cap', under_sample, df, each//100)
    corpus = Corpus(cut.assign(root='/corpora/c', row=np.arange(len(cut))), 'c', {})
    timed('hash of the capped corpus', lambda: corpus.hash)
    del corpus, cut
    from srisc_tl.corpus import subset                                              # it brings fastai and torch: 0.6 GB
    view = timed('subset', subset, Corpus(df, 'c', {}), industry='field 0', datasets=[f'set{i:03d}' for i in range(0, o.sets, 2)])
    made = spent.pop('making')
    return dict(rows=o.rows[0], seconds=spent, total=sum(spent.values()), making=made, left_out=why.value_counts().to_dict(), kept=len(df),
                view=len(view))

def show(results):
    "A row a step, a column a size"
    steps, a, z = list(results[0]['seconds']), results[0], results[-1]
    print('| seconds | ' + ' | '.join(f"{r['rows']:,} rows" for r in results) + ' | ratio |\n|---|' + '--:|'*(len(results) + 1))
    lines = {s: lambda r, s=s: r['seconds'][s] for s in steps}
    lines |= {'**all steps**': lambda r: r['total'], 'peak memory, GB': lambda r: r['peak']}
    for name, f in lines.items():
        print(f'| {name} | ' + ' | '.join(f'{f(r):.1f}' for r in results) + f' | {f(z)/max(f(a), 1e-3):.1f} |')
    print(f"\nAt {z['rows']:,} rows the leak guard took out {sum(n for k, n in z['left_out'].items() if k):,}: "
          + ', '.join(f'{n:,} {k}' for k, n in z['left_out'].items() if k) + '.')

def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--rows', type=lambda n: int(n.replace('_', '')), nargs='+', default=[1_000_000, 10_000_000])
    ap.add_argument('--sets', type=int, default=100, help='datasets; the rows are spread over them evenly')
    ap.add_argument('--target', type=int, default=500, help='images of the target that the leak guard keeps out of the source')
    ap.add_argument('--one', action='store_true', help='run one size in this process and print its figures as JSON')
    o = ap.parse_args()
    if o.one: return print(json.dumps(run(o) | dict(peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1e6)))
    command = [sys.executable, __file__, '--one', '--sets', str(o.sets), '--target', str(o.target), '--rows']
    said = [subprocess.run([*command, str(n)], stdout=subprocess.PIPE, check=True, text=True).stdout for n in o.rows]
    show([json.loads(text.splitlines()[-1]) for text in said])

if __name__ == '__main__':
    for k in ('OMP_NUM_THREADS', 'VIPS_CONCURRENCY'): os.environ.setdefault(k, '1')
    del sys.path[0]                          # fastai tries `import tables`, and would find this file
    main()
