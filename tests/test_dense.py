"""Segmentation and detection on each kind of body; what cannot be is said, what cannot be used is counted; real masks and boxes move as their images do."""
import json, os
import numpy as np
import pandas as pd
import pytest
from PIL import Image

ARCHS = ('tf_efficientnet_lite0', 'resnet18', 'convnext_atto')

@pytest.fixture(scope='module')
def table(tmp_path_factory):
    "Twelve pictures of two defects, three of them without any; their masks in a standardised folder"
    tmp, rng, rows = tmp_path_factory.mktemp('dense'), np.random.default_rng(0), []
    (tmp/'SegmentationClass').mkdir()
    (tmp/'dataset.json').write_text(json.dumps(dict(labels=['dirt', 'hole', 'sound'])))
    for i in range(12):
        im, mask, k = rng.integers(60, 120, (50, 70), dtype=np.uint8), np.zeros((50, 70), np.uint8), i % 4
        x, y = rng.integers(0, 45), rng.integers(0, 30)
        if k: im[y:y + 18, x:x + 24], mask[y:y + 18, x:x + 24] = 250*(k == 2), 1 + (k == 2)
        Image.fromarray(im).save(tmp/f'{i}.png')
        Image.fromarray(mask).save(tmp/f'SegmentationClass/{i}.png')
        label = 'sound' if not k else 'hole' if k == 2 else 'dirt'
        rows.append(dict(path=str(tmp/f'{i}.png'), dataset='plates', label=label, width=70, height=50, normal='sound', mask=str(tmp/f'SegmentationClass/{i}.png') if k else '',
                         boxes=[[label, float(x), float(y), x + 24., y + 18.]] if k else []))
    return pd.DataFrame(rows)

def learner(task, *args, **kw):
    from srisc_tl.detection import det_learner
    from srisc_tl.segmentation import seg_learner
    return dict(segment=seg_learner, detect=det_learner)[task](*args, **dict(size=64, bs=4, tick=os.devnull) | kw)

@pytest.mark.parametrize('arch', ARCHS)
@pytest.mark.parametrize('task', ['segment', 'detect'])
def test_runs(table, task, arch):
    "One epoch from random weights: everything learns, nothing is frozen unasked (torchvision #2164), and the body keeps its names"
    import torch
    from srisc_tl.backbone import get_body
    from srisc_tl.detection import predict_boxes
    from srisc_tl.pyramid import fit_dense
    from srisc_tl.segmentation import predict_masks
    n_in = 1 if arch == 'resnet18' else 3
    learn = learner(task, None, table, arch=arch, n_in=n_in)
    start = {k: v.clone() for k, v in learn.model.state_dict().items()}
    fit_dense(learn, 1)
    assert [k for k, p in learn.model.named_parameters() if torch.equal(p, start[k]) or not p.requires_grad] == []
    assert learn.model[0].state_dict().keys() == get_body(arch, n_in).state_dict().keys()
    if task == 'segment':
        pred, y = predict_masks(learn, table)
        assert pred.shape == y.shape == (12, 64, 64) and pred.max() < 3 and sum(not m.any() for m in y) == 3
    else:
        found, true = predict_boxes(learn, table)
        assert len(found) == 12 and [len(t['boxes']) for t in true] == table['boxes'].map(len).tolist() and all(f['boxes'].isfinite().all() for f in found)

@pytest.mark.parametrize('task', ['segment', 'detect'])
def test_same_seed_same_weights(table, task):
    import torch
    from srisc_tl.pyramid import fit_dense
    run = lambda seed: fit_dense(learner(task, None, table, arch='test_efficientnet', seed=seed), 1).model.state_dict()
    a, b, c = run(0), run(0), run(1)
    assert all(torch.equal(v, b[k]) for k, v in a.items()) and not all(torch.equal(v, c[k]) for k, v in a.items())

@pytest.mark.parametrize('task', ['segment', 'detect'])
def test_checkpoint_there_and_back(table, task, tmp_path):
    import torch
    from torch import nn
    from srisc_tl.backbone import get_model, save_checkpoint
    from srisc_tl.body_back import body_checkpoint
    from srisc_tl.convention import DataError
    from srisc_tl.pyramid import fit_dense
    ckpt = save_checkpoint(get_model('test_efficientnet', 2), tmp_path/'a', dict(arch='test_efficientnet', n_in=3))
    learn = learner(task, ckpt, table)
    assert all(torch.equal(v, ckpt.state('body')[k]) for k, v in learn.model[0].state_dict().items())
    back = body_checkpoint(fit_dense(learn, 1), tmp_path/'b')
    model = get_model(back, 5)
    assert all(torch.equal(v, learn.model[0].state_dict()[k]) for k, v in model[0].state_dict().items()) and back.record['parent'] == ckpt.hash
    with pytest.raises(DataError, match='holds a test_efficientnet, not a resnet18'): learner(task, ckpt, table, arch='resnet18')
    ckpt.record['arch'] = 'resnet18'                                                       # a record that does not fit its weights
    with pytest.raises(DataError, match='tensors do not fit'): learner(task, ckpt, table)

BAD = dict( # what is wrong → task, what becomes of the table, arguments; what the error says
    no_masks=('segment', lambda d: d.assign(mask=''), {}, 'can only be classified'),
    no_boxes=('detect', lambda d: d.assign(boxes=[[]]*len(d)), {}, 'no image of'),
    no_column=('segment', lambda d: d.drop(columns='mask'), {}, "no column ['mask']"),
    unknown_mask_label=('segment', lambda d: d, dict(classes=['dirt']), "holds the numbers [2] of unknown labels; valid: 0, 255 and those of ['dirt']"),
    unknown_box_label=('detect', lambda d: d, dict(classes=['dirt']), "unknown label(s), e.g. ['hole']; valid: ['dirt']"),
    other_size=('segment', lambda d: d.assign(width=71), {}, 'wanted indices, P or L, of (71, 50)'),
    gone=('segment', lambda d: d.assign(mask=d['mask'].str.replace('.png', '.gone')), {}, 'cannot be read as a mask'),
    image_gone=('detect', lambda d: d.assign(path=d['path'] + '.gone'), {}, 'cannot be read as an image'),
    tokens_seg=('segment', lambda d: d, dict(arch='vit_tiny_patch16_224'), 'VisionTransformer gives no maps of three scales'),
    tokens_det=('detect', lambda d: d, dict(arch='vit_tiny_patch16_224'), 'VisionTransformer gives no maps of three scales'),
    strategy=('detect', lambda d: d, dict(strategy='cotuning', arch='test_efficientnet'), "strategy 'cotuning' is none for dense targets; valid: full"),
)

@pytest.mark.parametrize('what', BAD)
def test_bad_input(table, what):
    from srisc_tl.convention import DataError
    task, change, kw, says = BAD[what]
    with pytest.raises(DataError) as e: learner(task, None, change(table), **kw)
    assert says in str(e.value)

def test_counted(table):
    "A defect nobody has marked, boxes outside, boxes without area, boxes without numbers: left out, listed, and the rest is used"
    from srisc_tl.dense import BoxData, MaskData
    odd = table.assign(mask=['' if i == 1 else m for i, m in enumerate(table['mask'])],
                       boxes=[b if i != 2 else [*b, ['dirt', -9., -9., 0., 4.], ['dirt', 5., 5., 5., 9.], ['dirt', 5., float('nan'), 9., 9.]] for i, b in enumerate(table['boxes'])])
    masks, boxes = MaskData(odd, 64, ['defect']), BoxData(odd, 64, ['dirt', 'hole'])
    assert len(masks) == 11 and masks.left_out['path'].tolist() == [table['path'][1]]
    assert boxes.left_out['reason'].tolist() == ['3 of 4 boxes lie outside of the image, or have no area'] and [len(b) for b, _ in boxes.y] == table['boxes'].map(len).tolist()
    over = BoxData(table.assign(boxes=[[[b[0], -9., *b[2:]] for b in bs] for bs in table['boxes']]), 64, ['dirt', 'hole'])
    assert all((b[:, 0] == 0).all() and (b[:, 2] > 0).all() for b, _ in over.y) and not len(over.left_out)     # cut at the image's side

def test_without_the_extra(monkeypatch):
    "The rooms load and train without torchmetrics; what measures says what to install"
    import sys
    from srisc_tl.convention import DataError
    from srisc_tl.detection import box_scores
    from srisc_tl.segmentation import mask_scores
    for name in [m for m in sys.modules if m.partition('.')[0] == 'torchmetrics'] + ['torchmetrics']: monkeypatch.setitem(sys.modules, name, None)
    for f in (lambda: mask_scores(np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), ['background', 'hole']), lambda: box_scores([], [], ['hole'])):
        with pytest.raises(DataError, match=r"pip install 'srisc_tl\[dense\]'"): f()

def test_real_masks_and_boxes(shared_data, tmp_path):
    "Real masks mark the same share of a square as of their image; boxes taken from masks hold what the masks mark"
    from srisc_tl.consolidate import load_zoo
    from srisc_tl.convention import DATASETS
    from srisc_tl.dense import BoxData, MaskData, dense_classes, square_fit
    from srisc_tl.standardise import standardise
    standardise(DATASETS['magnetic_tile'], shared_data, tmp_path)
    d = load_zoo(tmp_path, ['magnetic_tile'])['magnetic_tile'].sample(30, random_state=0).reset_index(drop=True)
    masks, boxes = MaskData(d, 128, dense_classes(d)), BoxData(d, 128, dense_classes(d))
    for r, y, (b, _) in zip(d.itertuples(), masks.y, boxes.y):
        share = (np.asarray(Image.open(r.mask)) > 0).mean() if r.mask else 0.
        w, h = square_fit(r.width, r.height, 128).inner
        assert abs((y > 0).sum()/(w*h) - share) < .2*share + .002
        inside = np.zeros_like(y, bool)
        for x0, y0, x1, y1 in b: inside[int(y0):int(np.ceil(y1)), int(x0):int(np.ceil(x1))] = True
        assert not b.size or ((y > 0) & ~inside).sum() <= .1*(y > 0).sum() + 9               # specks have no box
    assert (d['label'] == 'Free').sum() == sum(not y.any() for y, label in zip(masks.y, d['label']) if label == 'Free')
