"""Files of earlier versions are read as if written today, newer ones refused by name: each kind of file, as the first version that is in the history wrote it."""
import json, sqlite3
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from srisc_tl.bounds import safe_name
from srisc_tl.changes import SCHEMAS, version
from srisc_tl.checked import read_record
from srisc_tl.convention import DataError, load_items, save_items

def put(path, record):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1), encoding='utf-8')
    return path

def first_set(root):
    "A set as the first version wrote it: no `phash`, no `derived_from`, no names of lists, text as objects, no version in the table"
    (root/'JPEGImages').mkdir(parents=True)
    rows = []
    for i, label in enumerate(['edge nick', 'ok']):
        Image.new('L', (40, 30), 99*i).save(root/f'JPEGImages/{i}.png')
        rows.append(dict(path=f'JPEGImages/{i}.png', dataset=root.name, industry='film', label=label, split='train', group=str(i), width=40, height=30,
                         mode='L', sha256=f'{i}'*64, mask='', boxes='[["edge nick", 1, 2, 9, 8]]' if i == 0 else '[]'))
    pd.DataFrame(rows).astype(dict(path='object', label='object')).to_parquet(root/'items.parquet', index=False)
    put(root/'dataset.json', dict(schema=1, dataset=root.name, industry='film', labels=['edge nick', 'ok'], images=2, skipped=0, counts={'edge nick': 1, 'ok': 1},
                                  license='CC0', source='', family='film_rolls', natural=False, prep='auto', normal='ok'))
    return root

def first_corpus(root):
    "A corpus as the first version built it: no `sources`, the version in the recipe only"
    df = load_items(first_set(root)/'items.parquet').assign(cls=['film/edge nick', 'film/ok'])
    save_items(df, root/'items.parquet')
    recipe = dict(schema=1, name='srisc', datasets=['film'], industry='', exclude=[], cap=None, seed=0)
    put(root/'corpus.json', dict(name='srisc', recipe=recipe, images=2, classes=2, images_before=2, planned=2, patches=0, left_out={}))
    return root

def test_a_set_of_the_first_version(tmp_path):
    from srisc_tl.check import check_set
    from srisc_tl.consolidate import load_zoo
    root = first_set(tmp_path/'zoo/film')
    df = load_zoo(tmp_path/'zoo')['film']
    assert df['derived_from'].tolist() == ['film_rolls']*2 and df['boxes'][0] == [['edge nick', 1, 2, 9, 8]] and df['phash'].tolist() == ['', '']
    assert read_record(root/'dataset.json', kind='dataset')['lists'] == {o: safe_name(o) for o in ('edge nick', 'ok')}
    assert len(check_set(root, deep=False))          # its lists are not there: said, not a traceback

def test_a_set_of_the_first_version_is_imported_again(tmp_path):
    "The first record had no fingerprint: such a set is made anew"
    from srisc_tl.convention import Dataset
    from srisc_tl.standardise import standardise
    (tmp_path/'raw/film/ok').mkdir(parents=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40), np.uint8)).save(tmp_path/'raw/film/ok/a.png')
    first_set(tmp_path/'zoo/film')
    standardise(Dataset('film', 'film', 'folder'), tmp_path/'raw', tmp_path/'zoo')
    assert json.loads((tmp_path/'zoo/film/dataset.json').read_text())['schema'] == 2 and len(load_items(tmp_path/'zoo/film/items.parquet')) == 1

def test_a_corpus_of_the_first_version(tmp_path):
    from srisc_tl.build import load_corpus
    from srisc_tl.corpus import union
    from srisc_tl.corpus_page import corpus_page
    corpus = load_corpus(first_corpus(tmp_path/'srisc-abc'))
    assert len(corpus) == 2 and corpus.record['sources'] == {} and union(corpus).record['sources'] == {}
    with pytest.raises(DataError, match='no plan.csv; build it again'): corpus_page(corpus, tmp_path/'c.html')

def test_a_checkpoint_of_the_first_version(tmp_path):
    "Written as the first version did: the same fields, no size, no sources"
    import hashlib, torch
    import safetensors.torch as st
    from srisc_tl.backbone import load_checkpoint
    blob = st.save({'body.0.weight': torch.ones(2)})
    put(tmp_path/'c/checkpoint.json', dict(hash='ab', arch='resnet18', n_in=3, stages=[], parent=None, corpus_hash=None, classes=None, seed=0, metrics={}, schema=1,
                                           weights_sha256=hashlib.sha256(blob).hexdigest(), versions=dict(torch='2.9')))
    (tmp_path/'c/weights.safetensors').write_bytes(blob)
    assert load_checkpoint(tmp_path/'c').state('body')['0.weight'].tolist() == [1, 1]

def test_the_state_of_a_training_of_the_first_version(tmp_path):
    import torch
    import safetensors.torch as st
    from srisc_tl.resume import read_place
    place = dict(ident='x', epoch=1, batch=2, pct=.5, iter=7, loss_count=3, scaler=None)
    st.save_file({'loss': torch.ones(1)}, tmp_path/'s', metadata=dict(place=json.dumps(place)))
    assert read_place(tmp_path/'s') == place

ROW = dict(key='k1', study='regimes', regime='scratch', selector='uniform', strategy='full', target='film', per_class=10, seed=0, arch='resnet18', size=96, epochs=10,
           budget='{}', status='ok', error=.25)

def first_store(path):
    "A store as the first version made it, in SQL; one trial is in it"
    with sqlite3.connect(path) as con:
        con.execute('CREATE TABLE trials (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, study TEXT, regime TEXT, selector TEXT, strategy TEXT, target TEXT, per_class INTEGER, '
                    'seed INTEGER, arch TEXT, size INTEGER, epochs INTEGER, budget TEXT, status TEXT NOT NULL, error REAL, macro_error REAL, valid_error REAL, n_train INTEGER, '
                    'n_test INTEGER, n_classes INTEGER, checkpoint TEXT, seconds REAL, message TEXT, created TEXT, extra TEXT, attempts INTEGER NOT NULL DEFAULT 1, '
                    "CHECK (status = 'failed' OR (status = 'ok' AND error IS NOT NULL)))")
        con.execute('CREATE TABLE schema_version (version INTEGER NOT NULL UNIQUE)')
        con.execute('INSERT INTO schema_version VALUES (1)')
        row = ROW | dict(extra='{"ess": 3.5}')
        con.execute(f'INSERT INTO trials ({", ".join(row)}) VALUES ({", ".join("?"*len(row))})', list(row.values()))
    con.close()
    return path

def test_a_store_is_brought_up_to_date(tmp_path, monkeypatch):
    "A step that a later version may have: the trials stay, the version moves, and this version refuses what that one wrote"
    from srisc_tl.experiment import Store
    path = first_store(tmp_path/'r.db')
    assert Store(path).frame()[['key', 'error', 'ess']].values.tolist() == [['k1', .25, 3.5]] and Store(path).append(ROW | dict(key='k2'))
    def step(con):
        con.execute("ALTER TABLE trials ADD COLUMN host TEXT DEFAULT 'here'")
        return con
    with monkeypatch.context() as m:
        m.setitem(SCHEMAS, 'store', [step])
        for _ in range(2): assert Store(path).frame()['host'].tolist() == ['here', 'here']       # the second time nothing is done again
    with pytest.raises(DataError, match=r"r\.db: written by a newer srisc_tl: schema 2 of 'store'"): Store(path)

def test_a_step_that_fails_changes_no_store(tmp_path, monkeypatch):
    from srisc_tl.experiment import Store
    path = first_store(tmp_path/'r.db')
    def step(con):
        con.execute('DELETE FROM trials')
        return con.execute('SELECT nothing FROM nowhere')
    with monkeypatch.context() as m:
        m.setitem(SCHEMAS, 'store', [step])
        with pytest.raises(DataError, match='r.db: cannot be used'): Store(path)
    assert Store(path).frame()['key'].tolist() == ['k1']

def read_trials(path):
    from srisc_tl.experiment import Store
    store = Store(path.with_suffix('.db'))
    store.add_csv(path)
    return store.frame()['key'].tolist()

def write_trials(path):
    from srisc_tl.experiment import Store
    store = Store(path.with_suffix('.from.db'))
    store.append(ROW)
    return store.save_csv(path)

def read_weights(path):
    from srisc_tl.weight_files import read_class_weights
    return read_class_weights(path).to_dict()

def read_overlay(path):
    from srisc_tl.relabel import load_overlay
    return load_overlay(path)['label'].tolist()

def write_overlay(path):
    from srisc_tl.relabel import save_overlay
    save_overlay(pd.DataFrame([dict(dataset='film', sha256='0', was='ok', label='nick', note='')]), path)
    return path

def read_picks(path):
    from srisc_tl.selecting import read_human
    return read_human(path)

def read_scores(path):
    from srisc_tl.evidence import load_scores
    return load_scores(path)['value'].tolist()

def write_scores(path, schema=None):
    from srisc_tl.evidence import add_scores
    row = dict(checkpoint='c', target='film', corpus='h', per_class=10, seed=0, split=0, size=96, source='', score='logme', value=.5, why='')
    if schema is None: add_scores(path, pd.DataFrame([row]))
    else: pd.DataFrame([row | dict(schema=schema)]).to_parquet(path, index=False)
    return path

def text(path, lines):
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
    return path

def old_trials(path):
    write_trials(path)
    pd.read_csv(path, dtype=str, keep_default_na=False).drop(columns='schema').to_csv(path, index=False)
    return path

FILES = { # kind → name, how the first version wrote it, how this one does, how it is read, what of the first file is read
    'trials': ('t.csv', old_trials, write_trials, read_trials, ['k1']),
    'weights': ('w.csv', lambda p: text(p, ['cls,weight', 'film/ok,1.5', 'NA,0.5']), None, read_weights, {'film/ok': 1.5, 'NA': .5}),
    'overlay': ('o.csv', lambda p: text(p, ['dataset,sha256,was,label,note', 'film,0,ok,nick,']), write_overlay, read_overlay, ['nick']),
    'picks': ('h.json', lambda p: put(p, dict(film=['metal'])), None, read_picks, dict(film=['metal'])),
    'scores': ('s.parquet', lambda p: write_scores(p, 1), write_scores, read_scores, [])}

@pytest.mark.parametrize('kind', FILES)
def test_tables_of_the_first_version(kind, tmp_path):
    name, first, _, read, want = FILES[kind]
    assert read(first(tmp_path/name)) == want

def newer_table(path):
    df = pd.read_csv(path, dtype=str, keep_default_na=False) if path.suffix == '.csv' else pd.read_parquet(path)
    df = df.assign(schema=99)
    df.to_csv(path, index=False) if path.suffix == '.csv' else df.to_parquet(path, index=False)

@pytest.mark.parametrize('kind', FILES)
def test_newer_tables_are_refused(kind, tmp_path):
    name, first, write, read, _ = FILES[kind]
    path = (write or first)(tmp_path/name)
    if path.suffix == '.json': put(path, json.loads(path.read_text()) | dict(schema=99))
    else:
        if write: assert pd.DataFrame(pd.read_csv(path) if path.suffix == '.csv' else pd.read_parquet(path))['schema'].tolist() == [version(kind)]
        newer_table(path)
    with pytest.raises(DataError, match=rf"{name}: written by a newer srisc_tl: schema 99 of '{kind}', this one knows 1 to {version(kind)}"): read(path)

def open_corpus(p):
    from srisc_tl.build import load_corpus
    return load_corpus(p)

def open_zoo(p):
    from srisc_tl.consolidate import load_zoo
    return load_zoo(p.parent)

def open_checkpoint(p):
    from srisc_tl.backbone import load_checkpoint
    return load_checkpoint(p)

def open_model(p):
    pytest.importorskip('onnxruntime')
    from srisc_tl.line import OnnxModel
    (p/'model.onnx').write_bytes(b'')
    return OnnxModel(p)

RECORDS = {'dataset': ('dataset.json', open_zoo), 'corpus': ('corpus.json', open_corpus), 'checkpoint': ('checkpoint.json', open_checkpoint), 'model': ('model.json', open_model)}

@pytest.mark.parametrize('kind', RECORDS)
def test_newer_records_are_refused(kind, tmp_path):
    name, read = RECORDS[kind]
    record = dict(name='x', labels=[], classes=[], size=96, n_in=3, threshold=None, good=[], schema=99)
    put(tmp_path/'zoo/film'/name, record)
    with pytest.raises(DataError, match=rf"{name}: written by a newer srisc_tl: schema 99 of '{kind}'"): read(tmp_path/'zoo/film')

def test_newer_item_tables_states_and_weights_are_refused(tmp_path):
    import torch
    import safetensors.torch as st
    from srisc_tl.resume import read_place
    from srisc_tl.weight_files import weight_facts
    df = load_items(first_set(tmp_path/'film')/'items.parquet')
    for name, cols in (('items', df), ('weights', pd.DataFrame(dict(row=[0], sha256=['0'], weight=[1.])))):
        cols.attrs = dict(schema=99)
        (cols.assign(boxes='[]') if name == 'items' else cols).to_parquet(tmp_path/f'{name}.parquet')
    st.save_file({'loss': torch.ones(1)}, tmp_path/'state', metadata=dict(place=json.dumps(dict(ident='x', schema=99))))
    for kind, read, file in (('items', load_items, 'items.parquet'), ('weights', weight_facts, 'weights.parquet'), ('state', read_place, 'state')):
        with pytest.raises(DataError, match=f"{file}: written by a newer srisc_tl: schema 99 of '{kind}'"): read(tmp_path/file)

def test_every_kind_is_tested():
    said = Path(__file__).read_text(encoding='utf-8')
    assert all(f"'{kind}'" in said for kind in SCHEMAS)
