"""The chain from outside: real raw folders in, and a corpus that an independent look confirms; the whole demo on three real sets."""
import hashlib, json, os
from pathlib import Path
import pytest

CAP, TARGETS = 40, ['electronic_components', 'mvtec_bottle', 'optical_film', 'phone_screen']

def build(zoo, out, **kw):
    from srisc_tl.consolidate import load_zoo
    from srisc_tl.build import build_corpus
    return build_corpus(load_zoo(zoo), out, cap=CAP, n_jobs=2, **kw)

def folder_hash(root):
    "Of all images' names and bytes"
    return hashlib.sha256(b''.join(p.name.encode() + p.read_bytes() for p in sorted(Path(root, 'JPEGImages').iterdir()))).hexdigest()

@pytest.fixture(scope='module')
def corpus(real_zoo, tmp_path_factory): return build(real_zoo[0], tmp_path_factory.mktemp('corpus'), exclude=TARGETS)

def test_corpus_looked_at_with_pillow_only(real_zoo, corpus):
    "Each image opens, its sides lie in [224, 256], classes are the sum of the sets' classes, no class above the cap"
    from PIL import Image
    root = Path(corpus.items['root'].iloc[0])
    for p in (root/'JPEGImages').iterdir():
        with Image.open(p) as im:
            im.load()
            assert 224 <= min(im.size) <= max(im.size) <= 256, p
    sets = [json.loads(p.read_text()) for p in real_zoo[0].glob('*/dataset.json')]
    sets = [s for s in sets if s['dataset'] not in TARGETS and not s['natural']]
    assert len(sets) >= 12
    assert corpus.items['cls'].nunique() == sum(len({*s['labels'], *filter(None, [s['normal']])}) for s in sets)
    assert corpus.items['cls'].value_counts().max() <= CAP

@pytest.mark.slow  # all of the corpus once more: 60 s; pages do the same with invented sets
def test_same_build_same_bytes(real_zoo, corpus, tmp_path):
    again = build(real_zoo[0], tmp_path, exclude=TARGETS)
    assert again.hash == corpus.hash and folder_hash(again.items['root'].iloc[0]) == folder_hash(corpus.items['root'].iloc[0])

def test_derived_set_leaves_with_its_target(real_zoo, tmp_path):
    "DeepPCB's crops show DeepPCB's boards: neither may be the other's source"
    corpus = build(real_zoo[0], tmp_path, exclude=['deeppcb'], industry='electronics/pcb')
    assert set(corpus.items['dataset']) == {'pcb_resistor', 'solder_joint'}
    assert 'deeppcb_crops' not in corpus.classes and any('derived' in k for k in corpus.record['left_out'])

@pytest.mark.slow  # 95 s; page 13c does it with invented sets
def test_demo_on_real_sets(shared_data, tmp_path):
    "Three real sets and one target, very small, through to the report"
    from srisc_tl.demo import run_demo
    from srisc_tl.experiment import Store
    from srisc_tl.pretrain import Recipe
    (tmp_path/'raw').mkdir()
    for name in ('mvtec_bottle_split', 'solder-joint-dataset', 'elpv-dataset'): os.symlink(Path(shared_data, name), tmp_path/'raw'/name)
    page = run_demo(tmp_path/'out', tmp_path/'raw', scale='smoke', cap=20, recipe=Recipe(epochs=1, size=32), epochs=1, per_class=5)
    df = Store(tmp_path/'out/results.db').frame()
    assert set(df['regime']) == {'scratch', 'imagenet', 'srisc', 'sequential', 'adaptive'} and set(df['status']) == {'ok'}
    assert set(df['target']) == {'mvtec_bottle'} and len(df) == 5*2 and 'mvtec_bottle' in page.read_text()
