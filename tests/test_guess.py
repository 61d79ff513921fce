"""Layouts that no declaration knows: reader and classes are guessed right for each, and the guess standardises to the right counts."""
import json, os, random, shutil, time
from pathlib import Path
import numpy as np
import pytest
from PIL import Image
from test_bad_input import SUFFIXES, hurt_bytes, hurt_text, only

CLASSES = ('scratch', 'dent', 'burr')

def picture(path, rng, wh=(64, 48), spot=None, mode='L'):
    "An invented surface, and a bright spot [x0, y0, x1, y1] on it"
    a = rng.normal(110, 14, (wh[1], wh[0])).clip(1, 255).astype(np.uint8)
    if spot: a[spot[1]:spot[3], spot[0]:spot[2]] = 240
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(a).convert(mode).save(path)

def spot_of(i): return [5 + i % 20, 4 + i % 9, 17 + i % 20, 19 + i % 9]

def mask(path, spot, wh=(64, 48), value=255):
    "A mask of one spot, or of none"
    a = np.zeros((wh[1], wh[0]), np.uint8)
    if spot: a[spot[1]:spot[3], spot[0]:spot[2]] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(a).save(path)

def text(path, content, encoding='utf-8'):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding=encoding)

LAYOUTS = {}
def layout(reader, boxed=False, **labels):
    "Declare a layout: the reader that fits, whether items get boxes, how many images of each label; the function draws it into a folder"
    def add(f):
        LAYOUTS[f.__name__] = f, reader, boxed, labels
        return f
    return add

@layout(('filename',), OK=30, NG_scratch=18, NG_dent=12)
def lots(root, rng):
    for label, n in dict(OK=30, NG_scratch=18, NG_dent=12).items():
        for i in range(n): picture(root/f'by_lot/L{i % 5:02}/{label}_{i:04}.bmp', rng)
    text(root/'notes.txt', 'taken on line 7\n')

@layout(('filename',), 기포=14, 이물=16)
def korean_suffix(root, rng):
    for label, n in {'기포': 14, '이물': 16}.items():
        for i in range(n): picture(root/f'2024-03/{i:03}_cam{i % 3}_{label}.png', rng)

@layout(('csv',), 양품=20, 기포=12, 긁힘=8)
def semicolon_bom(root, rng):
    labels, lines = ['양품']*20 + ['기포']*12 + ['긁힘']*8, ['No;파일;불량유형;작업자']
    for i, label in enumerate(labels):
        picture(root/f'사진/IMG ({i}).png', rng)
        lines.append(f'{i};IMG ({i}).png;{label};{"김이박"[i % 3]}')
    text(root/'판정.tsv', '\n'.join(lines) + '\n', 'utf-8-sig')

@layout(('csv',), good=15, worn=15)
def headless_list(root, rng):
    for split, n in dict(train=20, test=10).items():
        for i in range(n): picture(root/f'frames/{split}{i:03}.jpg', rng)
        text(root/f'{split}.lst', ''.join(f'{split}{i:03}.jpg\t{("good", "worn")[i % 2]}\n' for i in range(n)))

@layout(('csv',), ok=10, chip=12, crack=8)
def one_hot(root, rng):
    labels, lines = ['ok']*10 + ['chip']*12 + ['crack']*8, ['image_id,ok,chip,crack']
    for i, label in enumerate(labels):
        picture(root/f'tiles/t{i:05}.png', rng)
        lines.append(f't{i:05},' + ','.join(str(int(label == k)) for k in ('ok', 'chip', 'crack')))
    text(root/'targets.csv', '\n'.join(lines))

@layout(('coco',), True, scratch=14, dent=13, burr=13)
def coco_runs(root, rng):
    images, marks = [], []
    for i in range(40):
        x0, y0, x1, y1 = spot_of(i)
        picture(root/f'captures/{i:04}.png', rng, spot=(x0, y0, x1, y1))
        m = np.zeros((48, 64), np.uint8); m[y0:y1, x0:x1] = 1
        flat = m.T.ravel()
        edges = np.flatnonzero(np.diff(flat)) + 1
        counts = np.diff(np.r_[0, edges, flat.size]).tolist()
        images.append(dict(id=i, file_name=f'{i:04}.png', width=64, height=48))
        marks.append(dict(id=i, image_id=i, category_id=i % 3 + 5, bbox=[x0, y0, x1 - x0, y1 - y0], iscrowd=1, area=int(m.sum()),
                          segmentation=dict(size=[48, 64], counts=counts)))
    kinds = [dict(id=k + 5, name=c) for k, c in enumerate(CLASSES)]
    text(root/'ann/instances.json', json.dumps(dict(images=images, annotations=marks, categories=kinds)))

@layout(('yolo', 'sidecar'), True, scratch=10, dent=10, normal=10)
def yolo_classes(root, rng):
    text(root/'classes.txt', 'scratch\ndent\n')
    for i in range(30):
        split, (x0, y0, x1, y1) = ('train', 'valid')[i > 20], spot_of(i)
        picture(root/split/f'images/p{i}.jpg', rng, spot=spot_of(i) if i % 3 < 2 else None, mode='RGB')
        line = f'{i % 3} {(x0 + x1)/128:.6f} {(y0 + y1)/96:.6f} {(x1 - x0)/64:.6f} {(y1 - y0)/48:.6f}\n'
        text(root/split/f'labels/p{i}.txt', line if i % 3 < 2 else '')

@layout(('masks',), True, scratch=12, dent=12, good=12)
def masks_suffix(root, rng):
    for i in range(36):
        label = ('scratch', 'dent', 'good')[i % 3]
        picture(root/f'photos/{label}/{i:03}.jpg', rng, spot=spot_of(i) if label != 'good' else None, mode='RGB')
        if label != 'good': mask(root/f'truth/{label}/{i:03}_GT.png', spot_of(i))

@layout(('masks',), True, defect=9, normal=21)
def masks_beside_blank(root, rng):
    for i in range(30):
        picture(root/f'{("train", "test")[i % 2]}/{20000 + i}.png', rng, spot=spot_of(i) if i % 10 < 3 else None)
        mask(root/f'{("train", "test")[i % 2]}/{20000 + i}_mask.png', spot_of(i) if i % 10 < 3 else None)

@layout(('mvtec', 'masks'), True, good=26, hole=6, oil=8)
def mvtec_like(root, rng):
    for i in range(20): picture(root/f'gear/train/good/{i:03}.png', rng)
    for label, n in dict(good=6, hole=6, oil=8).items():
        for i in range(n):
            picture(root/f'gear/test/{label}/{i:03}.png', rng, spot=spot_of(i) if label != 'good' else None)
            if label != 'good': mask(root/f'gear/ground_truth/{label}/{i:03}_mask.png', spot_of(i))

@layout(('voc', 'sidecar'), True, scratch=16, dent=14)
def voc_imagesets(root, rng):
    for i in range(30):
        label, (x0, y0, x1, y1) = ('scratch', 'dent')[i >= 16], spot_of(i)
        picture(root/f'VOC2024/JPEGImages/2024_{i:06}.jpg', rng, spot=spot_of(i), mode='RGB')
        box = f'<xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>'
        text(root/f'VOC2024/Annotations/2024_{i:06}.xml', f'<annotation><filename>2024_{i:06}.jpg</filename><size><width>64</width>'
             f'<height>48</height><depth>3</depth></size><object><name>{label}</name><bndbox>{box}</bndbox></object></annotation>')
    for split, ids in dict(train=range(20), val=range(20, 30)).items():
        text(root/f'VOC2024/ImageSets/Main/{split}.txt', ''.join(f'2024_{i:06}\n' for i in ids))

@layout(('sidecar',), True, scratch=11, dent=10)
def labelme_beside(root, rng):
    for i in range(21):
        x0, y0, x1, y1 = spot_of(i)
        picture(root/f'day{i % 2 + 1}/DSC{i:05}.png', rng, spot=spot_of(i))
        shape = dict(label=('scratch', 'dent')[i % 2], points=[[x0, y0], [x1, y0], [x1, y1], [x0, y1]], shape_type='polygon')
        note = dict(version='5.2.1', flags={}, imagePath=f'DSC{i:05}.png', imageData=None, shapes=[shape])
        text(root/f'day{i % 2 + 1}/DSC{i:05}.json', json.dumps(note))

@layout(('sidecar',), True, **{'3': 12, '8': 12})
def pixel_lines(root, rng):
    for i in range(24):
        picture(root/f'board{i % 4}/{i:05}.png', rng, spot=spot_of(i))
        text(root/f'board{i % 4}/gt/{i:05}.txt', ','.join(map(str, spot_of(i))) + f',{(3, 8)[i % 2]}\n')

@layout(('rle_csv',), True, **{'1': 10, '4': 8, 'normal': 12})
def run_lengths(root, rng):
    lines = ['ImageId,ClassId,EncodedPixels']
    for i in range(30):
        picture(root/f'train_images/{i:08x}.jpg', rng, spot=spot_of(i) if i < 18 else None)
        m = np.zeros((48, 64), bool); x0, y0, x1, y1 = spot_of(i); m[y0:y1, x0:x1] = True
        edges = np.flatnonzero(np.diff(np.r_[0, m.T.ravel(), 0]))
        runs = ' '.join(f'{a + 1} {b - a}' for a, b in zip(edges[::2], edges[1::2]))
        if i < 18: lines.append(f'{i:08x}.jpg,{1 if i < 10 else 4},{runs}')
    text(root/'train.csv', '\n'.join(lines))

@layout(('folder',), **{'Class A': 14, 'Class B': 16})
def class_then_split(root, rng):
    for label, n in {'Class A': 14, 'Class B': 16}.items():
        for i in range(n): picture(root/f'{label}/{("training", "testing")[i % 2]}/{i}.png', rng)

def made(name, tmp_path):
    "The folder of a layout, drawn"
    draw, reader, boxed, labels = LAYOUTS[name]
    root = tmp_path/name
    draw(root, np.random.default_rng(0))
    return root, reader, boxed, labels

def standardised(g, root, tmp_path):
    "The items that standardise makes with a guess"
    from srisc_tl.convention import load_items
    from srisc_tl.standardise import standardise
    standardise(g.dataset('unknown', 'metal'), root, tmp_path/'zoo')
    return load_items(tmp_path/'zoo/unknown/items.parquet')

@pytest.mark.parametrize('name', LAYOUTS)
def test_unknown_layout(name, tmp_path):
    "Reader and classes are right, and the counts of what is standardised"
    from srisc_tl.guess import guess
    root, reader, boxed, labels = made(name, tmp_path)
    best = guess(root)[0]
    assert best.reader in reader, (best, [(g.reader, round(g.score, 2)) for g in guess(root)])
    items = standardised(best, root, tmp_path)
    assert items['label'].value_counts().to_dict() == labels, best
    if boxed: assert items['boxes'].str.len().gt(0).sum() == sum(n for k, n in labels.items() if k not in ('normal', 'good'))
    if name in ('yolo_classes', 'masks_beside_blank', 'mvtec_like', 'voc_imagesets', 'class_then_split', 'headless_list'):
        assert items['split'].nunique() == 2 and '' not in set(items['split']), items['split'].value_counts()

# ---- what the guess says of itself

@pytest.mark.parametrize('name', LAYOUTS)
def test_report_and_declaration(name, tmp_path):
    "The report names classes and command; its declaration reads back as it is; nothing is written, and nothing outside opened"
    from srisc_tl.convention import register_file
    from srisc_tl.guess import as_toml, guess, guess_report, preview
    root, _, _, labels = made(name, tmp_path)
    files = lambda: {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*')}
    before = files()
    with only([root], []): best, text = guess(root)[0], guess_report(root)
    assert files() == before
    assert all(k in text for k in labels) and f'srisc_import {root} --name {name}' in text and 'Left out: ' in text
    (tmp_path/'own.toml').write_text(as_toml(best, f'unknown_{name}', 'metal', root.name), encoding='utf-8')
    ds = register_file(tmp_path/'own.toml')[0]
    assert (ds.reader, ds.args, ds.folder) == (best.reader, best.args, root.name)
    seen = preview(ds, tmp_path)
    assert seen['rows']['label'].value_counts().to_dict() == preview(best, root)['rows']['label'].value_counts().to_dict()
    assert seen['sizes'].loc['median'].tolist() == [64, 48] and sum(seen['modes'].values()) == len(seen['rows'])

def test_archive(tmp_path):
    "A zip or a tar is guessed like its folder"
    from srisc_tl.guess import guess, guess_report
    root, *_ , labels = made('masks_suffix', tmp_path)
    want = guess(root)[0]
    for kind in ('zip', 'gztar'):
        archive = shutil.make_archive(tmp_path/'set', kind, root)
        got = guess(archive)[0]
        assert (got.reader, got.args, got.classes) == (want.reader, want.args, want.classes)
        assert standardised(got, archive, tmp_path/kind)['label'].value_counts().to_dict() == labels
        assert f'srisc_import {archive}' in guess_report(archive)

def test_alternatives_say_why_not(tmp_path):
    "What looked possible is tried, and what came out is said"
    from srisc_tl.guess import guess
    root, *_ = made('headless_list', tmp_path)
    best, *rest = guess(root)
    assert best.args['table'] == {'train': 'train.lst', 'test': 'test.lst'}
    assert all(g.tried and g.outcome() and g.why for g in (best, *rest)) and best.score > 2*max(g.score for g in rest)

# ---- traps

def numbers_only(root, rng):
    for i in range(30): picture(root/f'2024010{i % 3}/{i:04}.png', rng)

def names_of_their_own(root, rng):
    for i, w in enumerate('ant bee cat dog eel fox gnu hen ibis jay kid lynx'.split()): picture(root/f'pics/{w}.png', rng)

def one_class(root, rng):
    for i in range(12): picture(root/f'dust/dust_{i}.png', rng)

def splits_only(root, rng):
    for i in range(30): picture(root/f'{("train", "val", "test")[i % 3]}/{i:04}.png', rng)

@pytest.mark.parametrize('draw', [numbers_only, names_of_their_own, one_class, splits_only])
def test_no_labelling(draw, tmp_path):
    "Dates, splits, names of their own and one class are no labels: the error says what was found and what was wanted"
    from srisc_tl.convention import DataError
    from srisc_tl.guess import guess
    draw(tmp_path/'set', np.random.default_rng(0))
    with pytest.raises(DataError, match=r'(?s)no reader fits.*Found files: \d+ \.png.*images in folders: .*--reader'): guess(tmp_path/'set')

def test_nothing_there(tmp_path):
    "No folder, no files, no images, no archive"
    from srisc_tl.convention import DataError
    from srisc_tl.guess import guess
    (tmp_path/'empty').mkdir(); text(tmp_path/'docs/a.csv', 'a,b'); text(tmp_path/'page.zip', '<html>')
    for name, says in dict(none='no folder or archive at', empty='holds no files', docs='no image files (files: 1 .csv', page='').items():
        with pytest.raises(DataError) as e: guess(tmp_path/(name if name != 'page' else 'page.zip'))
        assert says in str(e.value) and str(tmp_path) in str(e.value)

def test_masks_are_no_class(tmp_path):
    "A folder of masks is neither a class nor full of pictures, also where only the folders differ"
    from srisc_tl.guess import guess
    rng = np.random.default_rng(0)
    for i in range(20):
        picture(tmp_path/f'set/photo/{i}.png', rng, spot=spot_of(i) if i < 12 else None)
        mask(tmp_path/f'set/area/{i}.png', spot_of(i) if i < 12 else None)
    best = guess(tmp_path/'set')[0]
    assert best.reader == 'masks' and best.classes == dict(defect=12, normal=8)

def test_colours_are_classes(tmp_path):
    "Masks with a value a class, and no label anywhere else"
    from srisc_tl.guess import guess
    rng = np.random.default_rng(0)
    for i in range(18):
        picture(tmp_path/f'set/img/{i}.png', rng, spot=spot_of(i))
        mask(tmp_path/f'set/lab/{i}.png', spot_of(i), value=1 + i % 3)
    best = guess(tmp_path/'set')[0]
    assert best.reader == 'masks' and best.classes == {'value 1': 6, 'value 2': 6, 'value 3': 6}

def test_boxes_of_a_part(tmp_path):
    "Pictures that lie elsewhere, and without annotations, are not called normal"
    from srisc_tl.guess import guess
    root, *_ = made('voc_imagesets', tmp_path)
    for i in range(10): picture(root/f'docs/screenshot{i}.png', np.random.default_rng(i))
    best = guess(root)[0]
    assert best.reader in ('voc', 'sidecar') and best.classes == dict(scratch=16, dent=14)

def test_damaged_folders(tmp_path):
    "Whatever is damaged in an unknown folder: a guess, or a clear error"
    from srisc_tl.convention import DataError
    from srisc_tl.guess import guess_report
    rng, good = random.Random(0), {}
    for name in LAYOUTS: good[name] = made(name, tmp_path/'good')[0]
    for i in range(60):
        root = tmp_path/f'x{i}'
        shutil.copytree(good[rng.choice(list(good))], root)
        files = sorted(p for p in root.rglob('*') if p.is_file())        # as the file system lists them, each run would be another
        notes = [p for p in files if p.suffix not in SUFFIXES]
        for p in dict.fromkeys([*rng.sample(files, len(files)//rng.choice([1, 3, 9])), *rng.sample(notes, len(notes)//rng.choice([1, 2]))]):
            data = p.read_bytes()
            if p.suffix in SUFFIXES: p.write_bytes(hurt_bytes(data, rng, [b'BM\0\0', b'\x89PNG\r\n\x1a\n']))
            else: p.write_bytes(hurt_text(data.decode('utf-8', 'replace'), rng))
        try: assert 'Next: srisc_import' in guess_report(root)
        except DataError as e: assert str(root) in str(e)
        shutil.rmtree(root)

def sidecars(root, n):
    "A set of n images that are links to five, each with its note; 2 n files"
    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        for kind in ('pics', 'notes'): (root/f'set/{split}/{kind}').mkdir(parents=True)
    for i in range(5): picture(root/f'one{i}.png', rng, (320, 240))
    for i in range(n):
        split = ('train', 'val')[i % 4 == 0]
        os.link(root/f'one{i % 5}.png', root/f'set/{split}/pics/{i}.png')
        (root/f'set/{split}/notes/{i}.txt').write_text(f'{i % 4} .5 .5 .1 .1\n')
    return root/'set'

def test_ten_thousand_files(tmp_path):
    "Four times as many files take some four times as long, by processor time: sixteen would be the square"
    from srisc_tl.guess import guess
    seconds = {}
    for n in (1250, 5000):
        root = sidecars(tmp_path/str(n), n)
        start = time.process_time()
        best = guess(root)[0]
        seconds[n] = time.process_time() - start
        assert best.reader == 'sidecar' and len(best.classes) == 4
    assert seconds[5000] < 7*seconds[1250], seconds

# ---- sets that have a declaration: the guess does not see it

def agree(ds, best, root):
    "Whether a guess makes the same items, classes and splits of a folder as its declaration; a class may come in several parts"
    from srisc_tl.guess import preview
    a, b = (preview(g, root)['rows'].set_index('path') for g in (ds, best))
    both = a[['label']].join(b[['label']].rename(columns=dict(label='guess')), how='inner')
    pure = both.groupby('guess')['label'].agg(lambda v: (v == v.mode()[0]).sum()).sum()
    marked = lambda t: (t['boxes'].map(len).gt(0) | t['mask'].ne('') | t['segments'].map(len).gt(0)).mean()
    few = b['label'].nunique() < 1.5*a['label'].nunique()
    return few and len(both) > .98*len(a) and pure > .98*len(both) and marked(b) > .9*marked(a) - .02

def test_real_sets(shared_data):
    "The classes of the declaration for all folders of real data"
    from srisc_tl.convention import DATASETS
    from srisc_tl.guess import guess
    known = {d.folder or d.name: d for d in DATASETS.values() if not d.variant_of}
    right = {p.name: agree(known[p.name], guess(p)[0], p) for p in sorted(Path(shared_data).iterdir()) if p.is_dir() and p.name in known}
    assert len(right) >= 25 and all(right.values()), [k for k, ok in right.items() if not ok]

def test_published_layouts(tmp_path):
    "The published layouts, drawn small: at least 4 of 5 are read as their declaration reads them"
    from srisc_tl.convention import DATASETS
    from srisc_tl.guess import guess
    from srisc_tl.public import LAYOUTS as PUBLIC, draw_layout
    right = {}
    for name in PUBLIC:
        draw_layout(name, tmp_path/name)
        root = tmp_path/name/(DATASETS[name].folder or name)
        right[name] = agree(DATASETS[name], guess(root)[0], root)
    assert sum(right.values()) >= .8*len(right), [k for k, ok in right.items() if not ok]
