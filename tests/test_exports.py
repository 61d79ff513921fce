"""A corpus of real sets, exported and opened by the libraries that the formats are of: every image, class, box and mask as it is here."""
import json
from pathlib import Path
import numpy as np
import pytest

SETS = ('kolektor', 'magnetic_tile', 'mvtec_bottle', 'solder_joint') # boxes with splits; masks; splits without boxes; names with brackets
VAL = dict(train='train', valid='val', test='test')

@pytest.fixture(scope='module')
def made(shared_data, tmp_path_factory):
    "(corpus, its rows, format → folder)"
    from srisc_tl.build import build_corpus
    from srisc_tl.consolidate import load_zoo
    from srisc_tl.convention import DATASETS
    from srisc_tl.export_items import export_rows
    from srisc_tl.exports import EXPORTS, export_corpus
    from srisc_tl.standardise import standardise_all
    tmp = tmp_path_factory.mktemp('exports')
    standardise_all(shared_data, tmp/'zoo', datasets={n: DATASETS[n] for n in SETS})
    corpus = build_corpus(load_zoo(tmp/'zoo'), tmp/'corpora', cap=12, pack=())
    told = {f: export_corpus(corpus, tmp/f, f) for f in EXPORTS}
    rows = export_rows(corpus)
    assert len(rows) > 150 and rows['mask'].ne('').sum() > 30 and set(rows['split']) > {'train', 'valid'} - {'valid'}
    return corpus, rows, {f: Path(o['folder']) for f, o in told.items()}, told

def pixels(p):
    from PIL import Image
    with Image.open(p) as im: return np.asarray(im.convert('RGB'))

def xywh(b): return [b[1], b[2], b[3] - b[1], b[4] - b[2]]

def test_imagefolder(made):
    from torchvision.datasets import ImageFolder
    from srisc_tl.export_items import folder_class
    _, rows, at, _ = made
    n = 0
    for split, part in rows.groupby('split'):
        theirs, ours = ImageFolder(at['imagefolder']/VAL[split]), {r.file: r for r in part.itertuples()}
        assert {Path(p).name for p, _ in theirs.samples} == set(ours)
        for path, y in theirs.samples:
            r, n = ours[Path(path).name], n + 1
            assert folder_class(theirs.classes[y]) == r.cls and Path(path).read_bytes() == Path(r.path).read_bytes()
    assert n == len(rows)

@pytest.mark.parametrize('format', ('huggingface', 'imagefolder'))
def test_datasets(made, format, tmp_path):
    "Both ways: Parquet with the images in it, and folders with a table beside"
    datasets = pytest.importorskip('datasets')
    _, rows, at, _ = made
    where = dict(path='imagefolder', data_dir=str(at[format])) if format == 'imagefolder' else dict(path=str(at[format]))
    theirs = datasets.load_dataset(**where, cache_dir=str(tmp_path))
    assert sum(len(d) for d in theirs.values()) == len(rows)
    for split, part in rows.groupby('split'):
        d = theirs[split.replace('valid', 'validation')]
        name = d.features['label'].int2str if format == 'huggingface' else str
        said = sorted((name(o['label']), o['dataset'], o['industry'], o['group'], np.asarray(o['image'].convert('RGB')).tobytes()) for o in d)
        assert said == sorted((r.cls, r.dataset, r.industry, r.group, pixels(r.path).tobytes()) for r in part.itertuples())

def test_datasets_marks(made, tmp_path):
    "Boxes, masks and the files' own bytes, row by row"
    datasets = pytest.importorskip('datasets')
    from PIL import Image
    _, rows, at, _ = made
    theirs = datasets.load_dataset(str(at['huggingface']), cache_dir=str(tmp_path))
    for split, part in rows.groupby('split'):
        d = theirs[split.replace('valid', 'validation')]
        name = d.features['objects']['category'].feature.int2str
        for r, o, raw in zip(part.itertuples(), d, d.cast_column('image', datasets.Image(decode=False)), strict=True):
            assert raw['image']['bytes'] == Path(r.path).read_bytes()
            assert o['objects']['bbox'] == [xywh(b) for b in r.boxes] and [name(i) for i in o['objects']['category']] == [f'{r.dataset}/{b[0]}' for b in r.boxes]
            assert (o['mask'] is None) == (not r.mask) and (not r.mask or (np.asarray(o['mask']) == np.asarray(Image.open(r.mask))).all())

def detected(rows):
    "Rows that may go to a library for detection, found by another way than the package's: each set with boxes, without defects that have none"
    boxed = set(rows['dataset'][rows['boxes'].map(len) > 0])
    seen = {r.cls for r in rows.itertuples() if r.boxes}
    return {r.file: r for r in rows.itertuples() if r.boxes or r.dataset in boxed and r.cls not in seen}

def test_coco(made):
    pytest.importorskip('pycocotools')
    from PIL import Image
    from torchvision.datasets import CocoDetection
    _, rows, at, told = made
    ours, n, masked = detected(rows), 0, 0
    assert told['coco']['images'] == len(ours) and told['coco']['left_out'] == len(rows) - len(ours) > 0
    for p in (at['coco']/'annotations').iterdir():
        split = p.stem.removeprefix('instances_')
        theirs = CocoDetection(at['coco']/split, p)
        for i, (im, notes) in zip(theirs.ids, theirs):
            r, n = ours[theirs.coco.imgs[i]['file_name']], n + 1
            assert VAL[r.split] == split and im.size == (r.width, r.height) and (np.asarray(im) == pixels(r.path)).all()
            assert [(theirs.coco.cats[a['category_id']]['name'], a['bbox']) for a in notes] == [(f'{r.dataset}/{b[0]}', xywh(b)) for b in r.boxes]
            spots = [theirs.coco.annToMask(a) for a in notes if a['segmentation']]
            if spots:                                       # what all boxes mark is the mask, but for specks that got no box
                mask, found = np.asarray(Image.open(r.mask)), np.max(spots, 0) > 0
                masked += 1
                assert not found[(mask == 0) | (mask == 255)].any() and found.sum() >= .9*((mask > 0) & (mask < 255)).sum()
    assert n == len(ours) and masked > 30

def test_yolo(made):
    "By this package's own reader, which knows nothing of the corpus"
    from srisc_tl.annotations import READERS
    _, rows, at, _ = made
    ours, back = detected(rows), READERS['yolo'](at['yolo'], normal='sound')
    back = {Path(o['path']).name: o for o in back if not o.get('reason')}
    assert set(back) == set(ours)
    for name, r in ours.items():
        o = back[name]
        assert Path(o['path']).read_bytes() == Path(r.path).read_bytes() and o['split'][:3] == r.split[:3]
        assert [b[0] for b in o['boxes']] == [f'{r.dataset}/{b[0]}' for b in r.boxes]
        if r.boxes: assert np.abs(np.array([b[1:] for b in o['boxes']]) - [b[1:] for b in r.boxes]).max() < 1e-4

def test_coco_by_own_reader(made):
    from srisc_tl.coco import read_coco
    _, rows, at, _ = made
    back = read_coco(at['coco'], {p.stem.removeprefix('instances_'): f'annotations/{p.name}' for p in (at['coco']/'annotations').iterdir()}, normal='sound')
    back, ours = {Path(o['path']).name: o for o in back if not o.get('reason')}, detected(rows)
    assert set(back) == set(ours) and all(np.allclose([b[1:] for b in back[f]['boxes']], [b[1:] for b in r.boxes]) for f, r in ours.items() if r.boxes)

def test_fiftyone(made):
    "Its file format, from its documentation: FiftyOne itself wants a database server"
    _, rows, at, _ = made
    for split, part in rows.groupby('split'):
        told = json.loads((at['fiftyone']/split/'labels.json').read_text(encoding='utf-8'))
        assert {k: told['classes'][i] for k, i in told['labels'].items()} == {Path(r.file).stem: r.cls for r in part.itertuples()}
        assert {p.stem for p in (at['fiftyone']/split/'data').iterdir()} == set(told['labels'])

def test_licenses_told(made):
    "mvtec_bottle's mirror states none; its images are MVTec's"
    readme = (made[2]['huggingface']/'README.md').read_text(encoding='utf-8')
    assert 'non-commercial' in readme.split('---')[1] and 'unknown; CC-BY-NC-SA-4.0 (mvtec\\_ad\\_bottle): **non-commercial**' in readme
    assert all((p/'README.md').is_file() for p in made[2].values())

BAD = dict(format=(dict(format='tfds'), "unknown format 'tfds'"), there=(dict(out='coco'), 'is there already'), classes=(dict(format='yolo', datasets=['mvtec_bottle']), 'only be classified'))

@pytest.mark.parametrize('what', BAD)
def test_bad_input(made, what):
    from srisc_tl.convention import DataError
    from srisc_tl.corpus import subset
    from srisc_tl.exports import export_corpus
    args, says = BAD[what]
    args, top = dict(out='never', format='coco') | args, made[2]['coco'].parent
    corpus = subset(made[0], datasets=args.pop('datasets', None))
    with pytest.raises(DataError) as e: export_corpus(corpus, top/args['out'], args['format'])
    assert says in str(e.value) and '\n' not in str(e.value) and not (top/'never').exists() and not [*top.glob('.never*')]
