"""What is damaged is refused with a clear error or read as far as it goes: no other exception, no file touched elsewhere, no memory or time without bound."""
import io, json, os, struct, subprocess, sys, tempfile
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from fuzz import ENTRIES, Bench, make_store, nested, parquet_of
from repo import ROOT
from srisc_tl.bounds import DataError, from_json, nesting, printable
from srisc_tl.checked import read_record
from srisc_tl.convention import Dataset, load_items, register_file

CASES = int(os.environ.get('SRISC_FUZZ') or 250) # SRISC_FUZZ=100000 for more; seeds 0 to CASES, in a process of its own

def test_cases():
    "Damaged files for each reader; the same seeds give the same cases: `python tests/fuzz.py --start N --count M` runs a part of them"
    out = subprocess.run([sys.executable, str(ROOT/'tests/fuzz.py'), '--count', str(CASES)], capture_output=True, text=True, cwd=ROOT, env=os.environ | dict(PYTHONPATH=f'{ROOT}:{ROOT/"tests"}'))
    assert out.returncode == 0, f'{out.stdout[-3000:]}\n{out.stderr[-2000:]}'
    found = json.loads(out.stdout.splitlines()[-1])
    assert found['cases'] == CASES and found['faults'] == 0 and found['entries'] > min(CASES, 40)/2, found

# ---- what fuzzing has found, kept

def changed(**new): return lambda good: json.dumps(json.loads(good) | new).encode()
def text(data): return lambda good: data if isinstance(data, bytes) else data.encode()

def column(**new): # a table's columns replaced by these values
    def make(good):
        df = pd.read_parquet(io.BytesIO(good))
        return parquet_of(df.assign(**{k: pd.Series(v(df[k]) if callable(v) else [v]*len(df), dtype=object if not isinstance(v, float) else float) for k, v in new.items()}))
    return make

def sql(*lines): # statements on a good store
    def make(good):
        import sqlite3
        with tempfile.TemporaryDirectory() as d:
            (file := Path(d)/'s.db').write_bytes(good)
            con = sqlite3.connect(file)
            for line in lines: con.execute(line)
            con.commit(), con.close()
            return file.read_bytes()
    return make

def npy(make):
    def write(good):
        make(out := io.BytesIO())
        return out.getvalue()
    return write

def npy_head(head): return lambda good: b'\x93NUMPY\x01\x00' + struct.pack('<H', len(head) + 1) + head.encode() + b'\n' + good[-100:]
def tensors(head): return lambda good: struct.pack('<Q', len(head)) + head.encode()

NASTY = { # what is wrong: entry, bytes from the good ones, what the error says; '' where the file is used as far as it goes
    'a recursive view in place of the trials': ('store', sql('ALTER TABLE trials RENAME TO t', 'CREATE VIEW trials AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS id FROM c'), 'program of its own'),
    'a trigger': ('store', sql('CREATE TRIGGER r AFTER INSERT ON trials BEGIN DELETE FROM trials; END'), "trigger 'r'"),
    'a computed column of a gigabyte': ('store', sql('ALTER TABLE trials ADD COLUMN big BLOB AS (zeroblob(900000000)) VIRTUAL'), "computed column 'big'"),
    'a trial whose extra is no JSON': ('store', sql("UPDATE trials SET extra = '[1'"), 'no JSON'),
    'a trial whose extra is a list': ('store', sql("UPDATE trials SET extra = '[1]'"), 'no table'),
    'a trial whose extra is deep': ('store', sql(f"UPDATE trials SET extra = '{nested(3000)}'"), 'within each other'),
    'a text for an error rate': ('store', sql("UPDATE trials SET macro_error = 'x'"), 'macro_error'),
    'bytes for a target': ('store', sql("UPDATE trials SET target = x'ff00'"), 'target'),
    'a text that is no UTF-8': ('store', sql("UPDATE trials SET target = CAST(x'ff' AS TEXT)"), 'r.db'),
    'a store without its schema': ('store', sql('DELETE FROM schema_version'), 'schema'),
    'a trial of a CSV whose extra is a number': ('trials', lambda good: good.replace(b'"{""table"": [1, 2]}"', b'3'), 'no table'),
    'a cut model.json': ('model_json', lambda good: good[:60], 'model.json'), 'no good classes': ('model_json', changed(good=['other']), 'no model for pictures'),
    'a threshold of text': ('model_json', changed(threshold='x'), 'threshold'), 'no number of channels': ('model_json', changed(n_in=None), 'n_in'), 'another number of classes': ('model_json', changed(classes=['ok']), '1 classes'),
    'a model that is none': ('onnx', text('x'*99), 'model.onnx'),
    'deep JSON picks': ('human_json', text(nested(3000)), 'h.json'), 'deep TOML picks': ('human_toml', text('a = ' + nested(3000)), 'h.toml'),
    'options of 5000 digits': ('config', text('cap = ' + '9'*5000), 'c.toml'), 'options that are no UTF-8': ('config', text(b'\xff'), 'c.toml'),
    'declarations that are no UTF-8': ('declaration', text(b'\xff'), 'd.toml'), 'a number of 5000 digits': ('declaration', text('[a]\nx = ' + '9'*5000), 'd.toml'),
    'a folder that leads out': ('declaration', lambda good: good.replace(b'normal = "ok"\nargs', b'normal = "ok"\nfolder = "../.."\nargs'), "'../..'"),
    'the name ..': ('declaration', lambda good: good.replace(b'[film]', b'[".."]'), "'..'"), 'an industry that is a number': ('declaration', lambda good: good.replace(b'"film"', b'3'), 'industry = 3'),
    'a zip of numpy for pixels': ('pixels', npy(lambda out: np.savez(out, a=np.zeros(3))), 'damaged'), 'a pickle for pixels': ('pixels', npy(lambda out: np.save(out, np.array([{}], object), allow_pickle=True)), 'damaged'),
    'a head that does not end': ('pixels', npy_head("('"), 'damaged'), 'a head of long integers': ('pixels', npy_head("{'descr': '|u1', 'fortran_order': False, 'shape': (9L,)}"), 'damaged'),
    'pixels that are not there': ('pixels', npy_head("{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999,), }"), 'damaged'),
    'a tensor of no kind': ('tensors', tensors('{"body.x": {"dtype": "nan", "shape": [1], "data_offsets": [0, 4]}}'), 'safetensors'), 'a head of a list': ('tensors', tensors('[1]'), 'safetensors'),
    'a place that is a list': ('state', tensors('{"__metadata__": {"place": "[1]"}}'), 'not the state'),
    'a deep record': ('checkpoint', lambda good: b'{"a":'*3000 + b'1' + b'}'*3000, 'checkpoint.json'), 'versions that are a text': ('checkpoint', changed(versions='x'), 'versions'),
    'stages that are lists': ('checkpoint', changed(stages=[[1]]), 'stage'), 'images in a list': ('checkpoint', changed(stages=[dict(name='a', images=[1])]), 'images'), 'sources that are lists': ('checkpoint', changed(stages=[dict(name='a', sources=[1])]), 'sources'),
    'a billion channels': ('checkpoint', changed(n_in=10**9), 'n_in'), 'classes that are numbers': ('checkpoint', changed(classes=[1, 2]), 'class'),
    'a deep corpus record': ('corpus_record', lambda good: b'{"a":'*3000 + b'1' + b'}'*3000, 'corpus.json'), 'a corpus without a name': ('corpus_record', changed(name=None), 'name'), 'sources that are texts': ('corpus_record', changed(sources=dict(a='b')), "'a'"),
    'a width of text': ('corpus_items', column(width='9'), 'width'), 'deep boxes': ('corpus_items', column(boxes=nested(3000)), 'within each other'), 'boxes of texts': ('corpus_items', column(boxes='[["a", "b", 1, 2, 3]]'), 'no boxes'),
    'an absolute path': ('corpus_items', column(path='/etc/hostname'), 'leave its folder'), 'a path with a null': ('corpus_items', column(path='a\0b'), 'leave its folder'), 'a path that goes up': ('corpus_items', column(path='JPEGImages/../../a'), 'leave its folder'),
    'classes of lists': ('corpus_items', column(cls=[1, 2]), 'classes'), 'windows of three': ('corpus_items', column(window=lambda c: [[1, 2, 3]]*len(c)), 'windows'),
    'what was planned is no table': ('corpus_before', text('x'), 'before.parquet'), 'boxes that are none': ('corpus_before', column(boxes='{'), 'before.parquet'), 'a plan that is no UTF-8': ('corpus_plan', text(b'\xff\xfe,\xff'), 'plan.csv'),
    'a path that is not there': ('zoo_items', column(path=lambda c: [None, *c[1:]]), 'no path'), 'a height of dates': ('zoo_items', column(height='2024-01-01'), 'height'),
    'labels that are a number': ('zoo_facts', changed(labels=3), 'labels'), 'a natural text': ('zoo_facts', changed(natural='x'), 'natural'), 'what was left out is no UTF-8': ('zoo_skipped', text(b'path\n\xff\xfe'), 'skipped.csv'),
    'a PPM whose height is none': ('image_ppm_RGB', text('P6 4)0 9 255\n'), ''), 'a BMP of a billion pixels': ('image_bmp_L', lambda good: good[:18] + struct.pack('<ii', 40_000, 40_000) + good[26:], ''),
    'a mask of PostScript': ('mask', text('%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n(%pipe%touch pwned) (w) file\n'), ''),
    'weights in lists': ('weights_parquet', column(row=lambda c: [[1]]*len(c)), 'not those of'), 'weights of texts': ('weights_parquet', column(weight='x'), 'no numbers'),
    'elements in elements': ('note_voc', text('<annotation>' + '<object>'*5000), 'can be used'), 'an alias bomb': ('list_names', text('a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]\n'), 'class names'),
    'a hundred folders': ('zip', npy(lambda out: deep_zip(out)), 'no file that can be used'),
}

def deep_zip(out):
    import zipfile
    with zipfile.ZipFile(out, 'w') as z: z.writestr('a/'*1500 + 'x.png', b'')

@pytest.fixture(scope='module')
def bench(tmp_path_factory):
    before, tempfile.tempdir = tempfile.tempdir, None
    yield Bench(tmp_path_factory.mktemp('bench')/'b')
    tempfile.tempdir = before

@pytest.mark.parametrize('name', NASTY)
def test_nasty(name, bench, monkeypatch):
    "Each is refused with a line that says what is wrong, or used as far as it goes; nothing else happens"
    monkeypatch.setenv('SRISC_MAX_PIXELS', '20000000')
    entry, make, says = NASTY[name]
    good = (bench.folder(ENTRIES[entry])[0]/ENTRIES[entry].file).read_bytes()
    assert make(good) != good
    said = []
    assert bench.give(entry, make(good), said) is None and bench.outside() == []
    assert says in ''.join(said) and bool(said) == bool(says), said

def test_the_bench_sees(bench, monkeypatch):
    "The proof is worth something: another exception, a file written elsewhere and a case without end are faults"
    from dataclasses import replace
    def elsewhere(at): (bench.out/'canary.txt').read_text()
    def endless(at):
        while True: pass
    monkeypatch.setattr('fuzz.SECONDS', 1)
    for read, says in ((lambda at: 1/0, 'ZeroDivisionError'), (elsewhere, 'canary'), (endless, 'TooSlow')):
        monkeypatch.setitem(ENTRIES, 'broken', replace(ENTRIES['config'], read=read))
        assert says in bench.give('broken', b'cap = 1')
    (bench.out/'new.txt').write_text('')
    assert bench.outside()
    (bench.out/'new.txt').unlink()
    assert not bench.outside()

# ---- any JSON, any text

ANY = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20), lambda o: st.lists(o, max_size=4) | st.dictionaries(st.text(max_size=9) | st.sampled_from(['labels', 'name', 'images']), o, max_size=4), max_leaves=12)
quick = settings(max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))

@given(ANY)
@quick
def test_any_json_is_a_record(value):
    "Whatever JSON says: a dict of what was asked for, or a DataError"
    with tempfile.TemporaryDirectory() as d:
        (file := Path(d)/'r.json').write_text(json.dumps(value))
        try: found = read_record(file, 'labels', kinds=dict(labels=[str], images=int, name=str))
        except DataError as e: assert str(file) in str(e)
        else: assert all(isinstance(v, str) for v in found['labels']) and isinstance(found.get('images', 0), int)

@given(st.text(max_size=80) | st.binary(max_size=80))
@quick
def test_any_file_is_a_declaration(data):
    "Whatever stands in the file: declarations, or a DataError with its name"
    with tempfile.TemporaryDirectory() as d:
        (file := Path(d)/'d.toml').write_bytes(data if isinstance(data, bytes) else data.encode(errors='surrogatepass'))
        try: assert all(isinstance(o, Dataset) for o in register_file(file))
        except DataError as e: assert str(file) in str(e)

@given(ANY, st.text(max_size=60))
@quick
def test_nesting_is_counted(value, name):
    "No JSON that Python nests less deep than the limit is refused; a name is shown without what a terminal obeys"
    depth = lambda o: 1 + max(map(depth, o.values() if isinstance(o, dict) else o), default=0) if isinstance(o, (dict, list)) else 0
    text = json.dumps(value)
    assert nesting(f'{text}{" "*101}') in (0, depth(value)) and (from_json(text) == value or 'NaN' in text)
    assert printable(name).isprintable()
