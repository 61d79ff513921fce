"""Files as strangers might make them: good ones made by program, damaged by a seed, given to whatever reads them. `python tests/fuzz.py --help`"""
import argparse, contextlib, copy, io, json, math, os, random, re, resource, shutil, signal, sqlite3, stat, struct, sys, tarfile, tempfile, time, traceback, warnings, zipfile
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fastcore.script import CliError
from PIL import Image

from sandbox import only
from srisc_tl.convention import DATASETS, DataError, Dataset

SECONDS = 20                # of one case, at most
MEMORY = 2*10**9            # bytes that a process may add to what it had before the first case
PIXELS = 20_000_000         # of an image, at most: so that these fit into that memory

# ---- damage

ODD = [None, True, False, 0, -1, 1, 3, 1.5, -0.0, math.nan, math.inf, -math.inf, 10**6, 2**31, 2**63, -2**63, 10**30, 1e308, '', ' ', 'x', 'x'*5000, '../outside/canary.png', '..', '.', '/',
       '\0', 'a\nb', '\x1b[2J', '‮gnp.exe', '<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', '$\\frac$', '기포', 'שלום', '\ud800', '0', '1e999', 'nan', '2024-01-01',
       [], {}, [[]], [None], [1, 2, 3, 4], ['a', 'b'], {'a': 1}, {'': []}, [[[[1]]]]]

def nested(depth, text='1'): return '['*depth + text + ']'*depth

def hurt_bytes(data, rng):
    "Bits, length, blocks, an insertion, another order"
    b = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        i, j = sorted(rng.randrange(len(b) + 1) for _ in 'ab')
        kind = rng.randrange(8)
        if kind == 0: b = b[:i]
        elif kind == 1: b[i:i] = rng.randbytes(rng.choice([1, 4, 60]))
        elif kind == 2: b[i:i + rng.choice([1, 8, 64])] = b''
        elif kind == 3: b[i:min(j, i + 64)] = bytes(min(j, i + 64) - i)
        elif kind == 4: b[i:i] = b[i:min(j, i + 200)]
        elif kind == 5: b[i:i + 8] = rng.choice([b'\xff'*8, struct.pack('<q', 2**40), struct.pack('>q', 2**31), bytes(8)])
        else:
            for _ in range(rng.choice([1, 3, 20]) if b else 0):
                k = rng.randrange(min(len(b), rng.choice([32, 200, len(b)])))
                b[k] = rng.choice([b[k] ^ 1 << rng.randrange(8), rng.randrange(256), 0, 255])
    return bytes(b)

def paths_in(o, at=()):
    "Every place in nested lists and dicts"
    yield at
    for k, v in o.items() if isinstance(o, dict) else enumerate(o[:50]) if isinstance(o, list) else (): yield from paths_in(v, (*at, k))

def hurt_tree(tree, rng, odd=ODD):
    "Nested values with one or a few of them replaced, removed, doubled or renamed"
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        *way, last = rng.choice([p for p in paths_in(tree) if p] or [((None,))])
        if last is None: return rng.choice(odd)
        at = tree
        for k in way: at = at[k]
        kind = rng.randrange(8)
        if kind < 5: at[last] = copy.deepcopy(rng.choice(odd))
        elif kind == 5: del at[last]
        elif kind == 6 and isinstance(at, list): at.insert(last, copy.deepcopy(at[last]))
        elif isinstance(at, dict): at[rng.choice(['x', '', '../x', 'name', *map(str, at)])] = at.pop(last)
    return tree

def as_json(tree): return json.dumps(tree).encode()

def hurt_json(data, rng):
    "JSON that is whole, with odd values; or its bytes"
    kind = rng.randrange(10)
    if kind < 6: return as_json(hurt_tree(json.loads(data), rng))
    if kind < 8: return hurt_bytes(data, rng)
    text = data.decode()
    spots = [m.span() for m in re.finditer(r'-?\d+(?:\.\d+)?|"[^"]*"|null|true|false', text)] or [(0, 0)]
    a, b = rng.choice(spots)
    return (text[:a] + rng.choice(['1e999', '-', '9'*5000, nested(60), nested(3000), '{"a":'*3000 + '1' + '}'*3000, 'NaN', '-Infinity', '"' + '\\'*3, '\\u0000', '[', '{}', '"a":1', '""']) + text[b:]).encode(
        rng.choice(['utf-8', 'utf-8', 'utf-16', 'utf-8-sig', 'latin-1']))

WORDS = ['nan', 'inf', '-1', '1e999', '', ' ', 'abc', '9'*5000, '0x1f', '１２', '1,5', 'null', 'true', '[]', '{}', nested(3000), '"', "'", '<', '&x;', '\0', '\x1b[2J', '\ufeff', '🙂', '\\', '$(touch x)', '..',
         '../outside/canary.png', '/', '\t', '\r', '\u2028', '%s', '*', '**', '&a [*a,*a]', '!!python/object/apply:os.system ["true"]', '=1+1', '1979-13-01', '<!DOCTYPE a [<!ENTITY x "y">]>', '(', '(?P<label>', 'name', '.']

def hurt_text(data, rng):
    "Lines of text with odd words; or its bytes"
    if rng.random() < .2: return hurt_bytes(data, rng)
    text = data.decode()
    for _ in range(rng.choice([1, 1, 2, 4])):
        a, b = rng.choice([m.span() for m in re.finditer(r'[\w.\-/]+|\S', text)] or [(0, 0)])
        kind, lines = rng.randrange(7), text.split('\n')
        if kind < 4: text = text[:a] + rng.choice(WORDS) + text[b:]
        elif kind == 4: text = text[:a] + text[b:]
        elif kind == 5: lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines)); text = '\n'.join(lines)
        else: old, new = rng.choice([('\n', '\r'), (',', ';'), (' ', '\t'), ('"', "'"), ('=', ':'), ('[', '[['), ('<object>', '<object>'*2000), ('\n', '\n\n')]); text = text.replace(old, new)
    return text.encode(rng.choice(['utf-8', 'utf-8', 'utf-8', 'utf-16', 'utf-8-sig']), 'surrogatepass')

def column(kind, n, rng):
    "A column of another kind"
    one = lambda: rng.choice([o for o in ODD if not isinstance(o, str) or '\ud800' not in o])
    text = lambda v: json.dumps(v) if isinstance(v, (list, dict)) else str(v)
    made = dict(text=lambda: pa.array([text(one()) for _ in range(n)], pa.string()), int=lambda: pa.array([rng.choice([0, -1, 2**62, 10**6]) for _ in range(n)], pa.int64()),
                float=lambda: pa.array([rng.choice([0., math.nan, math.inf, 1e300]) for _ in range(n)]), none=lambda: pa.nulls(n), bytes=lambda: pa.array([rng.randbytes(4) for _ in range(n)], pa.binary()),
                lists=lambda: pa.array([[1, 2]]*n), structs=lambda: pa.array([{'a': 1}]*n), dates=lambda: pa.array([0]*n, pa.timestamp('ns')), holes=lambda: pa.array([None if i % 2 else 'x' for i in range(n)], pa.string()),
                same=lambda: pa.array([text(one())]*n, pa.string()), bool=lambda: pa.array([True]*n), codes=lambda: pa.array(['a']*n).dictionary_encode(), nest=lambda: pa.array([nested(3000)]*n))
    return made[kind or rng.choice([*made])]()

def hurt_parquet(data, rng):
    "A table of other columns, kinds and values; or its bytes"
    if rng.random() < .25: return hurt_bytes(data, rng)
    t = pq.read_table(io.BytesIO(data))
    for _ in range(rng.choice([1, 1, 2])):
        kind, names = rng.randrange(7), t.column_names
        if not names: break
        i = rng.randrange(len(names))
        if kind < 3: t = t.set_column(i, names[i], column('', len(t), rng))
        elif kind == 3: t = t.remove_column(i)
        elif kind == 4: t = t.slice(0, rng.choice([0, 1])) if rng.random() < .5 else pa.concat_tables([t, t])
        elif kind == 5: t = t.append_column(rng.choice([names[i], 'root', 'row', 'x']), column('', len(t), rng))
        else:
            old = t.column(i).to_pylist()
            if old: old[rng.randrange(len(old))] = rng.choice([None, old[0]]) if not isinstance(old[0], str) else rng.choice([None, '', '../outside/canary.png', '\0', nested(2000), '[["a",1,2]]', '{}', 'x'*9000, '$\\frac$'])
            with contextlib.suppress(pa.ArrowException, TypeError, OverflowError): t = t.set_column(i, names[i], pa.array(old, t.schema.field(i).type))
    if rng.random() < .3: t = t.replace_schema_metadata(rng.choice([None, {b'pandas': b'{'}, {b'pandas': b'{"columns": 3}'}, {b'pandas': nested(3000).encode()}]))
    out = io.BytesIO()
    pq.write_table(t, out)
    return out.getvalue()

SQL = ['DROP TABLE trials', 'DROP TABLE schema_version', 'DELETE FROM schema_version', "INSERT INTO schema_version VALUES ('x')", 'UPDATE schema_version SET version = 9', 'ALTER TABLE trials RENAME TO t',
       'ALTER TABLE trials DROP COLUMN extra', 'ALTER TABLE trials ADD COLUMN more TEXT', 'CREATE VIEW v AS SELECT * FROM trials', 'DELETE FROM trials',
       "ALTER TABLE trials RENAME TO t; CREATE VIEW trials AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS id, 'k' AS key, '{}' AS extra FROM c",
       "CREATE TRIGGER r AFTER INSERT ON trials BEGIN DELETE FROM trials; END", "ALTER TABLE trials ADD COLUMN big BLOB AS (zeroblob(900000000)) VIRTUAL", 'CREATE TABLE other (x)']
CELLS = ["'x'", "''", 'NULL', '-1', '1e999', "x'ff00fe'", "'[1'", "'[1]'", "'3'", "'{\"a\": {\"b\": 1}}'", "'{\"study\": 1}'", "'" + nested(3000) + "'", "CAST(x'ff' AS TEXT)", "'../outside/canary.png'", '9223372036854775807', "'<script>'"]

def hurt_sqlite(data, rng):
    "A store with odd cells, other tables, views and triggers; or its bytes"
    if rng.random() < .3: return hurt_bytes(data, rng)
    with tempfile.TemporaryDirectory() as d:
        (file := Path(d)/'s.db').write_bytes(data)
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as con:
            names = [r[1] for r in con.execute('PRAGMA table_info(trials)')]
            con.execute('PRAGMA ignore_check_constraints = 1')
            for _ in range(rng.choice([1, 1, 3])):
                with contextlib.suppress(sqlite3.Error):
                    if rng.random() < .3: con.executescript(rng.choice(SQL))
                    else: con.execute(f'UPDATE trials SET {rng.choice(names)} = {rng.choice(CELLS)} WHERE id = {rng.choice(["1", "id"])}')
        return file.read_bytes()

def hurt_safetensors(data, rng):
    "Another head; or its bytes"
    if rng.random() < .4: return hurt_bytes(data, rng)
    n = struct.unpack('<Q', data[:8])[0]
    head = as_json(hurt_tree(json.loads(data[8:8 + n]), rng, ODD + ['F64', 'BF16', 'I64', [0, 2**40], [2**31, 2**31], [-1]]))
    return struct.pack('<Q', rng.choice([len(head)]*6 + [2**60, 0])) + head + data[8 + n:]

def hurt_npy(data, rng):
    "Another head; or its bytes; or a pickle or zip of numpy's"
    if rng.random() < .4: return hurt_bytes(data, rng)
    out = io.BytesIO()
    made = rng.choice([lambda: np.save(out, np.array([{}, []], object), allow_pickle=True), lambda: np.savez(out, a=np.zeros(3)), lambda: np.save(out, np.zeros(3)), lambda: np.save(out, np.array('x')), lambda: None])
    made()
    if out.getvalue(): return out.getvalue()
    head = rng.choice(["{'descr': '|u1', 'fortran_order': False, 'shape': (%s,), }" % rng.choice(['10**9', '99999999999', '-1', '1,'*200, '()']), "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
                       "__import__('os').system('true')", '('*500, "{'descr': [('a', '|u1', (2**31, 2**31))], 'fortran_order': True, 'shape': (1,)}", '{}'])
    return b'\x93NUMPY\x01\x00' + struct.pack('<H', len(head) + 1) + head.encode() + b'\n' + data[-100:]

NAMES = ['good.png', 'a/b.png', '../evil.png', '/tmp/evil-4c1f.png', 'C:\\evil.png', '..', '.', '', 'a/../../evil', 'x'*300, 'a\nb.png', 'a/'*1500 + 'x.png', '‮gnp.exe', '기포/불량.png', 'CON', 'good.png/x', '\\\\host\\x', './././x.png', '.hidden/x']

def make_zip(data, rng):
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, 'w', rng.choice([0, 8, 12, 14])) as z:
        warnings.simplefilter('ignore')
        for _ in range(rng.choice([1, 2, 5])):
            m = zipfile.ZipInfo(rng.choice(NAMES[:3] + NAMES) or 'x')
            m.compress_type, m.external_attr = z.compression, rng.choice([0o644, 0o4777, stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755, stat.S_IFIFO, stat.S_IFREG]) << 16
            z.writestr(m, rng.choice([b'', data, bytes(10**6), b'../../outside/canary.txt']))
    return hurt_bytes(out.getvalue(), rng) if rng.random() < .5 else out.getvalue()

def make_tar(data, rng):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=rng.choice(['w', 'w:gz', 'w:bz2', 'w:xz']), format=rng.choice([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])) as t:
        for _ in range(rng.choice([1, 2, 5])):
            m = tarfile.TarInfo(rng.choice(NAMES))
            m.type, m.mode = rng.choice([tarfile.REGTYPE]*6 + [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, b'V', b'x', b'g']), rng.choice([0o644, 0o4777, 0])
            body = rng.choice([b'', data, bytes(10**5)]) if m.isreg() or m.type in b'xgV' else b''
            m.linkname, m.size, m.mtime = rng.choice(['', '../../outside/canary.txt', 'good.png']), len(body), rng.choice([0, 2**31, -1, 1e12])
            with contextlib.suppress(ValueError, UnicodeError, struct.error): t.addfile(m, io.BytesIO(body))
    return hurt_bytes(out.getvalue(), rng) if rng.random() < .5 else out.getvalue()

def hurt_torch(data, rng):
    "What torch.save wrote, other pickles, or its bytes"
    import pickle, torch
    class Run:
        def __reduce__(self): return os.mkdir, (str(Path(tempfile.gettempdir())/'pwned'),)
    out = io.BytesIO()
    kind = rng.randrange(6)
    if kind < 3: return hurt_bytes(data, rng)
    if kind == 3: return pickle.dumps(rng.choice([Run(), {'a': Run()}, [1], 'x', {'state_dict': 3}, {'model': {'model': {}}}]), rng.choice([0, 2, 4]))
    t = rng.choice([{'w': torch.zeros(2, 3)}, {'state_dict': {'': torch.zeros(0)}}, [torch.zeros(1)], torch.zeros(2), {1: torch.zeros(1)}, {'state_dict': [1]}, {}, {'w': torch.zeros(2).to_sparse()}, {'w': torch.zeros(1).expand(10**9)}])
    torch.save(t, out, _use_new_zipfile_serialization=rng.random() < .5)
    return out.getvalue()

# ---- what is read

def picture(path, seed=0, wh=(64, 48), mode='L', **kw):
    "An invented image file"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(1, 256, (wh[1], wh[0]), dtype=np.uint8)).convert(mode).save(path, **kw)
    return path

BOXES = [[4, 5, 20, 25], [30, 10, 50, 40]]
VOC = '<annotation><size><width>64</width></size>' + ''.join('<object><name>dust</name><bndbox>' + ''.join(f'<{t}>{v}</{t}>' for t, v in zip(('xmin', 'ymin', 'xmax', 'ymax'), b)) + '</bndbox></object>' for b in BOXES) + '</annotation>'
NOTES = dict(yolo='0 .2 .3 .2 .4\n1 .1 .1 .5 .1 .5 .5\n', xyxy='4 5 20 25 dust\n', xywh='4 5 20 25 dust\n', voc=VOC,
             labelme=json.dumps(dict(imagePath='a0.png', shapes=[dict(label='dust', shape_type='rectangle', points=[[4, 5], [20, 25]]), dict(label='pit', shape_type='polygon', points=[[1, 1], [9, 1], [9, 9]]),
                                                                 dict(label='pit', shape_type='circle', points=[[20, 20], [25, 20]])])))
COCO = dict(images=[dict(id=i, file_name=f'a{i}.png', width=64, height=48) for i in range(3)], categories=[dict(id=1, name='a'), dict(id=2, name='b')],
            annotations=[dict(id=i, image_id=i, category_id=1 + i % 2, bbox=[2, 3, 20, 10], segmentation=[[[2, 3, 22, 3, 22, 13]], dict(size=[48, 64], counts=[100, 20, 2952]), dict(size=[48, 64], counts='T3d0\\k2')][i]) for i in range(3)])
LISTS = dict(csv=('t.csv', 'file,label,split,x0,y0,x1,y1\n' + ''.join(f'a{i}.png,dust,train,1,2,9,{9 + i}\n' for i in range(3)), 'csv', dict(table='t.csv', header=True, path='file', label='label', columns=dict(split='split', x0='x0', y0='y0', x1='x1', y1='y1'))),
             words=('t.txt', ''.join(f'a{i}.png  {i}.5  mono\n' for i in range(3)), 'csv', dict(table='t.txt', sep=r'\s+')),
             runs=('t.csv', 'ImageId,ClassId,EncodedPixels\na0.png,1,5 10 60 10\na1.png,3,1 4\na1.png,4,700 9\n', 'rle_csv', dict(table='t.csv')),
             names=('n.yaml', 'path: .\nnc: 2\nnames:\n  0: dust\n  1: pit\n', 'sidecar', dict(images=r'^(?P<stem>\w+)\.png$', sidecar=r'\g<stem>.txt', parse='yolo', names='n.yaml', normal='ok')))
FILM = '[film]\nindustry = "film"\nreader = "sidecar"\nnormal = "ok"\nargs = {images = \'^(?P<stem>\\w+)\\.png$\', sidecar = \'\\g<stem>.txt\', parse = "yolo", labels = {a = "b"}, normal = "ok", max_pixels = 100000}\nurl = "https://host/x.zip"\nparts = ""\n'
CONFIG = 'zoo = "zoo"\ncap = 3\ndatasets = ["a", "b"]\n[srisc_build]\nseed = 1\npack = "96"\n'

def make_film(at):
    "A raw folder of three images, each with a YOLO file"
    for i in range(3):
        picture(at/f'a{i}.png', i)
        (at/f'a{i}.txt').write_text(NOTES['yolo'])

def make_zoo(at):
    "A standardised set with boxes, masks and a skip, and its corpus"
    from srisc_tl.build import build_corpus
    from srisc_tl.consolidate import load_zoo
    from srisc_tl.standardise import standardise
    make_film(at/'raw/film')
    for i in range(3, 12): picture(at/f'raw/film/a{i}.png', i); (at/f'raw/film/a{i}.txt').write_text(NOTES['yolo'] if i % 2 else '0 .5 .5 .3 .3\n')
    (at/'raw/film/bad.png').write_bytes(b'x')
    standardise(Dataset('film', 'film/x', 'sidecar', dict(images=r'^(?P<stem>\w+)\.png$', sidecar=r'\g<stem>.txt', parse='yolo', names=['dust', 'pit'], normal='ok')), at/'raw', at/'zoo')
    build_corpus(load_zoo(at/'zoo'), at/'corpora', 'c', pack=(32,))
    for p in at.glob('corpora/c-*'): p.rename(at/'corpora/c')

def make_checkpoint(at):
    "A body and head of timm's smallest network"
    import torch
    from srisc_tl.backbone import get_model, save_checkpoint
    model = get_model('test_byobnet', 2)
    save_checkpoint(model, at/'ckpt', dict(arch='test_byobnet', n_in=3, classes=['film/dust', 'film/pit'], size=32, stages=[dict(name='srisc', images=3, classes=2, epochs=1, size=32, hash='abc', seed=0, sources=dict(film=dict(images=3, industry='film')))], metrics=dict(seconds=3.)))
    torch.save(dict(model.state_dict()), at/'w.pth')
    import safetensors.torch as st
    st.save_file({k: v.contiguous() for k, v in list(model.state_dict().items())[:4]}, at/'w.safetensors')
    st.save_file({'model.w': torch.zeros(2)}, at/'state.safetensors', metadata=dict(place=json.dumps(dict(ident='a', epoch=1, batch=2, pct=.5, iter=3))))

def make_store(at):
    from srisc_tl.experiment import Store, Trial
    from dataclasses import asdict
    s = Store(at/'r.db')
    for i in range(4):
        t = Trial('regimes', ['imagenet', 'sequential'][i % 2], 'uniform', 'full', 'film', 5, i//2, budget='{"target": "abc"}')
        s.append(dict(asdict(t), key=t.key, status='ok', error=.1*i, macro_error=.1, n_train=5, n_test=9, n_classes=2, seconds=1., table=[1, 2]))
    s.save_csv(at/'r.csv')

OVERLAY = 'dataset,sha256,was,label,note\nfilm,{sha},dust,pit,\n'
TABLE = 'cls,weight\nfilm/dust,1.5\nfilm/pit,.5\n'

def parquet_of(df):
    out = io.BytesIO()
    df.to_parquet(out, index=False)
    return out.getvalue()

def make_tables(at):
    (at/'o.csv').write_text(OVERLAY.format(sha='0'*64)), (at/'w.csv').write_text(TABLE)
    (at/'h.json').write_text('{"film": ["film/x", "film/dust"], "b": ["c"]}'), (at/'h.toml').write_text('film = ["film/x", "film/dust"]\nb = ["c"]\n')
    (at/'w.parquet').write_bytes(parquet_of(pd.DataFrame(dict(row=[0, 1], sha256=['a', 'b'], weight=[1., 2.]))))
    from srisc_tl.evidence import add_scores, load_scores
    df = load_scores(None)
    add_scores(at/'s.parquet', pd.DataFrame([{c: dict(value=.5).get(c, 1 if df[c].dtype != object and df[c].dtype.kind in 'if' else 'x') for c in df}]))

def make_model(at):
    "What `export_model` writes, without its torch"
    import onnx
    from onnx import TensorProto as T, helper as h
    ins = [h.make_tensor_value_info('images', T.UINT8, ['n', 32, 32, 3])]
    outs = [h.make_tensor_value_info(n, T.FLOAT, ['n', 2]) for n in ('logits', 'probs')]
    nodes = [h.make_node('Cast', ['images'], ['f'], to=T.FLOAT), h.make_node('ReduceMean', ['f', 'axes'], ['m'], keepdims=0), h.make_node('Reshape', ['m', 'shape'], ['c']), h.make_node('Concat', ['c', 'c'], ['logits'], axis=1), h.make_node('Softmax', ['logits'], ['probs'], axis=1)]
    graph = h.make_graph(nodes, 'g', ins, outs, [h.make_tensor('axes', T.INT64, [3], [1, 2, 3]), h.make_tensor('shape', T.INT64, [2], [-1, 1])])
    (at/'model.onnx').write_bytes(h.make_model(graph, opset_imports=[h.make_opsetid('', 18)], ir_version=9).SerializeToString())
    (at/'model.json').write_text(json.dumps(dict(schema=1, classes=['ok', 'dust'], arch='x', n_in=3, size=32, good=['ok'], threshold=.5, input=dict(images=['n', 32, 32, 3]), inside=dict(temperature=1.), stages=[], versions={})))

# ---- how it is read

def read_rows(reader, at, **args):
    from srisc_tl.coco import READERS
    return READERS[reader](at, **args)

def sidecar(parse, at):
    from srisc_tl.standardise import read_items
    return read_items(Dataset('film', 'film', 'sidecar', dict(images=r'^(?P<stem>\w+)\.png$', sidecar=r'\g<stem>.txt', parse=parse, normal='ok')), at)

def declared(at):
    from srisc_tl.convention import register_file
    from srisc_tl.standardise import standardise
    before = dict(DATASETS)
    try:
        for ds in register_file(at/'d.toml'): standardise(ds, at/'raw', at/'zoo')
    finally: DATASETS.clear(), DATASETS.update(before)

def config(at):
    from srisc_tl.cli import srisc_build
    from srisc_tl.commands import COMMANDS, _options, read_config
    return read_config(at/'c.toml', 'srisc_build', _options(srisc_build), COMMANDS)

def archive(at):
    from srisc_tl.fetch import left_out, open_raw
    with open_raw(at/'film.zip', max_bytes=10**8) as d: return left_out(d), sorted(d.rglob('*'))

def image(at):
    from srisc_tl.fit import fit_pixels
    from srisc_tl.pixels import read_square
    from srisc_tl.probe import probe
    from srisc_tl.sheets import make_shots
    from srisc_tl.check import _look
    file = at/'a.png'
    facts = probe(file, at)
    assert ('reason' in facts) != ('width' in facts)
    _look(size=str(file), marks=str(file))
    make_shots(pd.DataFrame([dict(path=str(file), boxes=[['a', 1, 2, 9, 9]], mask='')]), [['a']])
    for f in (fit_pixels, lambda o: fit_pixels(Path(o).read_bytes()), partial(read_square, size=32)):
        with contextlib.suppress(DataError): f(str(file))

def mask(at):
    from srisc_tl.probe import examine
    for labels in ({}, {'255': 'a'}, {'255,0,0': 'a', '1': 'b'}): examine(dict(path=str(at/'a.png'), label='dust', mask=str(at/'m.png'), mask_labels=labels), at)

def zoo(at):
    from srisc_tl.check import check_report, check_zoo
    from srisc_tl.consolidate import consolidate, load_zoo
    check_report(check_zoo(at/'zoo'))
    return consolidate(load_zoo(at/'zoo'))

def corpus(at):
    from srisc_tl.build import load_corpus
    from srisc_tl.corpus_page import read_build
    from srisc_tl.pixels import check_pixels, packed
    from srisc_tl.widgets import Filter
    c = load_corpus(at/'corpora/c')
    c.hash, c.classes, repr(c), Filter(c.items)
    check_pixels(at/'corpora/c')
    with contextlib.suppress(DataError): packed(at/'corpora/c', 32)[0]
    return read_build(c)

def pixels(at):
    "Also where the record agrees with the file, as a stranger can make it"
    from srisc_tl.convention import file_sha256
    from srisc_tl.pixels import check_pixels, packed
    file = at/'corpora/c/pixels/32x3.npy'
    record = json.loads(file.with_suffix('.json').read_text())
    file.with_suffix('.json').write_text(json.dumps(record | dict(sha256=file_sha256(file))))
    check_pixels(at/'corpora/c')
    return packed(at/'corpora/c', 32).sum()

def checkpoint(at, again=False):
    from srisc_tl.backbone import get_model, load_checkpoint
    from srisc_tl.card import model_card
    from srisc_tl.lineage import family_tree
    if again:
        import hashlib
        record = json.loads((at/'ckpt/checkpoint.json').read_text())
        (at/'ckpt/checkpoint.json').write_text(json.dumps(record | dict(weights_sha256=hashlib.sha256((at/'ckpt/weights.safetensors').read_bytes()).hexdigest())))
    repr(load_checkpoint(at/'ckpt', verify=False))
    str(family_tree(at))
    ckpt = load_checkpoint(at/'ckpt')
    for f in (family_tree, model_card, lambda c: get_model(c, n_in=c.record['n_in'])):
        with contextlib.suppress(DataError): f(ckpt)

def weights(name, at):
    from srisc_tl.weights import read_weights
    return read_weights(at/name)

def place(at):
    from srisc_tl.resume import read_place
    return read_place(at/'state.safetensors')

def model(at):
    from srisc_tl.line import OnnxModel
    m = OnnxModel(at)
    return m.predict([np.zeros((40, 50), np.uint8)]) if m.size == 32 and m.n_in == 3 else None

def store(at):
    from srisc_tl.experiment import Store
    s = Store(at/'r.db', create=False)
    for f in (s.done, s.frame, partial(s.save_csv, at/'out.csv'), partial(s.save_parquet, at/'out.parquet')):
        with contextlib.suppress(DataError): f()
    return s.frame()

def trials(at):
    from srisc_tl.experiment import Store
    s = Store(at/'new.db')
    return s.add_csv(at/'r.csv'), s.frame()

def overlay(at):
    from srisc_tl.convention import items_frame
    from srisc_tl.relabel import load_overlay, relabel
    df = items_frame([dict(path=f'/x/{i}', dataset='film', label=l, sha256=str(i)*64, width=9, height=9) for i, l in enumerate(('dust', 'pit'))])
    return relabel(df, load_overlay(at/'o.csv'))

def class_weights(at):
    from srisc_tl.weight_files import load_selection
    return load_selection(at/'w.csv')

def item_weights(at):
    from types import SimpleNamespace
    from srisc_tl.weight_files import load_weights, weight_facts
    weight_facts(at/'w.parquet')
    return load_weights(at/'w.parquet', type('C', (), dict(name='c', items=pd.DataFrame(dict(row=[0, 1], sha256=['a', 'b'])), __len__=lambda s: 2, __str__=lambda s: 'c'))())

def scores(at):
    from srisc_tl.evidence import load_scores
    return load_scores(at/'s.parquet')

def human(name, at):
    from srisc_tl.selecting import read_human
    return read_human(at/name)

def guessed(at):
    from srisc_tl.guess import guess_facts, look_at
    return guess_facts(at, look_at(at), 'film')

@dataclass(frozen=True)
class Entry:
    "Something that is read: how a good one is made, which file is damaged and how, and what reads it"
    make: object  # function of an empty folder
    file: str     # below it
    hurt: object  # (bytes, random generator) → bytes
    read: object  # function of the folder
    share: float = 1. # of the cases, slow ones get fewer

def image_of(suffix, mode='L', **kw):
    return Entry(lambda at: (picture(at/f'x.{suffix}', 3, (40, 30), mode, **kw), (at/f'x.{suffix}').rename(at/'a.png')), 'a.png', hurt_bytes, image)

def lines(parse): return Entry(lambda at: (make_film(at), (at/'a1.txt').write_text(NOTES[parse])), 'a1.txt', hurt_json if parse == 'labelme' else hurt_text, partial(sidecar, parse))

def listed(name):
    file, text, reader, args = LISTS[name]
    return Entry(lambda at: (make_film(at), (at/file).write_text(text)), file, hurt_text, partial(read_rows, reader, **args))

def with_coco(at): make_film(at), (at/'c.json').write_text(json.dumps(COCO))
def with_zip(at): (at/'film.zip').write_bytes(b'x')
def with_mask(at): picture(at/'a.png'), picture(at/'m.png', 3)
def with_toml(at): make_film(at/'raw/film'), (at/'d.toml').write_text(FILM)

def one(maker, **files): # entries over one made folder
    return {k: Entry(maker, *v) for k, v in files.items()}

ENTRIES = {
    **{f'note_{p}': lines(p) for p in NOTES}, **{f'list_{n}': listed(n) for n in LISTS}, 'coco': Entry(with_coco, 'c.json', hurt_json, partial(read_rows, 'coco', table='c.json')),
    **{f'image_{s}_{m}': image_of(s, m) for s, m in (('png', 'L'), ('png', 'P'), ('png', 'RGBA'), ('jpg', 'RGB'), ('tif', 'L'), ('tif', 'RGB'), ('gif', 'P'), ('bmp', 'L'), ('webp', 'RGB'), ('jp2', 'L'), ('ppm', 'RGB'))},
    'mask': Entry(with_mask, 'm.png', hurt_bytes, mask), 'zip': Entry(with_zip, 'film.zip', make_zip, archive), 'tar': Entry(with_zip, 'film.zip', make_tar, archive),
    'declaration': Entry(with_toml, 'd.toml', hurt_text, declared), 'config': Entry(lambda at: (at/'c.toml').write_text(CONFIG), 'c.toml', hurt_text, config),
    **one(make_zoo, zoo_facts=('zoo/film/dataset.json', hurt_json, zoo, .05), zoo_items=('zoo/film/items.parquet', hurt_parquet, zoo, .05), zoo_note=('zoo/film/Annotations/a1.xml', hurt_text, zoo, .03),
          zoo_skipped=('zoo/film/skipped.csv', hurt_text, zoo, .03), zoo_image=('zoo/film/JPEGImages/a1.png', hurt_bytes, zoo, .03), zoo_mask=('zoo/film/SegmentationClass/a1.png', hurt_bytes, zoo, .03), zoo_list=('zoo/film/ImageSets/Main/train.txt', hurt_text, zoo, .02)),
    **one(make_zoo, corpus_record=('corpora/c/corpus.json', hurt_json, corpus, .2), corpus_items=('corpora/c/items.parquet', hurt_parquet, corpus, .2), corpus_before=('corpora/c/before.parquet', hurt_parquet, corpus, .1),
          corpus_plan=('corpora/c/plan.csv', hurt_text, corpus, .05), corpus_left=('corpora/c/left_out.csv', hurt_text, corpus, .05), pixels=('corpora/c/pixels/32x3.npy', hurt_npy, pixels, .5), pixels_record=('corpora/c/pixels/32x3.json', hurt_json, corpus, .1)),
    **one(make_checkpoint, checkpoint=('ckpt/checkpoint.json', hurt_json, checkpoint), tensors=('ckpt/weights.safetensors', hurt_safetensors, partial(checkpoint, again=True)), safetensors=('w.safetensors', hurt_safetensors, partial(weights, 'w.safetensors')),
          pth=('w.pth', hurt_torch, partial(weights, 'w.pth')), state=('state.safetensors', hurt_safetensors, place)),
    **one(make_model, model_json=('model.json', hurt_json, model), onnx=('model.onnx', hurt_bytes, model)), **one(make_store, store=('r.db', hurt_sqlite, store), trials=('r.csv', hurt_text, trials)),
    **one(make_tables, overlay=('o.csv', hurt_text, overlay), weights_csv=('w.csv', hurt_text, class_weights), weights_parquet=('w.parquet', hurt_parquet, item_weights), scores=('s.parquet', hurt_parquet, scores),
          human_json=('h.json', hurt_json, partial(human, 'h.json')), human_toml=('h.toml', hurt_text, partial(human, 'h.toml'))),
    'guess': Entry(with_coco, 'c.json', hurt_json, guessed, .05),
}

# ---- cases

class TooSlow(Exception): "A case took too long"
def _alarm(*_): raise TooSlow(f'more than {SECONDS} s')

def snapshot(at): return {str(p.relative_to(at)): (p.lstat().st_mtime_ns, p.lstat().st_size) for p in at.rglob('*')}

class Bench:
    "Good folders, made once, and one to be damaged"
    def __init__(self, base):
        self.base, self.out, self.good = Path(base), Path(base)/'outside', {}
        self.out.mkdir(parents=True), (self.base/'tmp').mkdir()
        tempfile.tempdir = str(self.base/'tmp')
        picture(self.out/'canary.png', 99), (self.out/'canary.txt').write_text('CANARY-4c1f')
        self.before = snapshot(self.out)

    def folder(self, entry):
        "A good folder of an entry, a copy to be damaged, and what that holds"
        if entry.make not in self.good:
            k = len(self.good)
            (good := self.base/f'good{k}').mkdir()
            entry.make(good)
            self.good[entry.make] = good, self.base/f'case{k}'
        good, at = self.good[entry.make]
        if not at.is_dir(): shutil.copytree(good, at)
        return good, at

    def case(self, name, seed):
        "One case; None, or what is wrong with it"
        entry = ENTRIES[name]
        return self.give(name, entry.hurt((self.folder(entry)[0]/entry.file).read_bytes(), random.Random(f'{name}:{seed}')))

    def give(self, name, data, said=None):
        "The same of given bytes; errors of ours go into the list `said`"
        entry = ENTRIES[name]
        good, at = self.folder(entry)
        before, file = snapshot(at), at/entry.file
        file.write_bytes(data)
        try: return self.read(entry, at, [] if said is None else said)
        finally:
            shutil.copy2(good/entry.file, file)
            if snapshot(at) != before: shutil.rmtree(at, ignore_errors=True)            # what a case wrote is no other's
            for p in (self.base/'tmp').iterdir(): shutil.rmtree(p, ignore_errors=True) if p.is_dir() else p.unlink()

    def read(self, entry, at, said):
        signal.signal(signal.SIGALRM, _alarm), signal.alarm(SECONDS)
        try:
            with only([at], [at, self.base/'tmp']), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter('ignore')
                entry.read(at)
        except CliError as e:
            said.append(str(e))
            return None if len(str(e)) > 10 else f'{type(e).__name__} says nothing: {e}'
        except KeyboardInterrupt: raise
        except BaseException as e:                                                       # any other is a fault
            own = [f for f in traceback.extract_tb(e.__traceback__) if 'srisc_tl/' in f.filename or '/tests/' in f.filename]
            return f'{type(e).__name__}: {str(e)[:150]} at ' + ' < '.join(f'{Path(f.filename).name}:{f.lineno}' for f in own[:-4:-1])
        finally: signal.alarm(0)

    def outside(self):
        "What was changed beside the case"
        odd = [p for p in self.base.iterdir() if p.name not in ('outside', 'tmp') and not p.name.startswith(('good', 'case'))]
        return [] if snapshot(self.out) == self.before and not odd else [f'changed outside: {odd}']

def run(start, count, names=(), log=print):
    "Cases `start` to `start + count` spread over the entries; faults by name and text, and how many cases each entry had"
    names, faults, done = [*(names or ENTRIES)], Counter(), Counter()
    os.environ['SRISC_MAX_PIXELS'] = str(PIXELS)
    share = np.cumsum([ENTRIES[n].share for n in names])
    with tempfile.TemporaryDirectory(prefix='fuzz_') as base:
        bench = Bench(base)
        for n in names: bench.folder(ENTRIES[n])
        for n in names: bench.case(n, 'warm')                                       # imports are no case's
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss*1024
        soft = int(Path('/proc/self/statm').read_text().split()[0])*resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (soft, resource.RLIM_INFINITY))
        for i in range(start, start + count):
            name = names[int(np.searchsorted(share, random.Random(i).random()*share[-1], 'right'))]
            t, why = time.time(), bench.case(name, i)
            done[name] += 1
            grew = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss*1024 - peak
            if grew > MEMORY/2: why, peak = why or f'took {grew/1e9:.1f} GB', peak + grew
            for w in filter(None, [why, *bench.outside()]):
                kind = re.sub(r'^(\w+): .* at (?=\w+\.py:)', r'\1 at ', w, flags=re.S)                    # not what it says, but where
                faults[kind] += 1
                if faults[kind] == 1: log(json.dumps(dict(case=i, name=name, why=w, seconds=round(time.time() - t, 1))), flush=True)
        tempfile.tempdir = None
        return faults, done, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss*1024 - peak

def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--start', type=int, default=0), p.add_argument('--count', type=int, default=300), p.add_argument('--only', default='', help='entries, comma-separated')
    a, t = p.parse_args(), time.time()
    faults, done, grew = run(a.start, a.count, [n for n in a.only.split(',') if n])
    print(json.dumps(dict(start=a.start, cases=sum(done.values()), entries=len(done), faults=sum(faults.values()), kinds=len(faults), grew_mb=round(grew/1e6), seconds=round(time.time() - t))), flush=True)
    return 1 if faults else 0

if __name__ == '__main__': sys.exit(main())
