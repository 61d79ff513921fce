"""Exported models and bodies give what the trained ones give: each kind of body, and a real target end to end, from raw files."""
import ast, importlib.util, json, os, subprocess, sys
import numpy as np
import pytest
from repo import LIB, ROOT

ARCHS = ('resnet18', 'convnext_atto', 'test_vit') # tf_efficientnet_lite0, whose export takes longest, is that of the real target
SIZE = 64

@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "A kept model of each body, of three invented classes"
    from srisc_tl.backbone import get_model, save_checkpoint
    tmp = tmp_path_factory.mktemp('export')
    record = lambda a: dict(arch=a, n_in=3, classes=['x/a', 'x/good', 'x/c'], size=SIZE)
    return {a: save_checkpoint(get_model(a, 3, seed=2), tmp/a, record(a)) for a in ARCHS} | dict(tmp=tmp)

@pytest.mark.parametrize('arch', ARCHS)
def test_equal_logits(made, arch):
    "Of one image and of seven, through ONNX; from pixels as a corpus has them"
    import torch
    from srisc_tl.backbone import get_model, normalize_stats
    from srisc_tl.export import export_model
    from srisc_tl.line import OnnxModel
    line = OnnxModel(export_model(made[arch], made['tmp']/f'{arch}-line', ('onnx',), temperature=3.))
    x = np.random.default_rng(1).integers(0, 256, (7, SIZE, SIZE, 3), dtype=np.uint8)
    mean, std = normalize_stats(arch)
    with torch.no_grad(): want = get_model(made[arch]).eval()(torch.tensor((x/255 - mean)/std, dtype=torch.float32).permute(0, 3, 1, 2))
    for n in (7, 1):
        logits, probs = line(x[:n])
        assert logits.shape == (n, 3) and np.abs(logits - want[:n].numpy()).max() < 1e-4
        assert np.abs(probs - (want[:n]/3).softmax(1).numpy()).max() < 1e-5
    assert float(want.std()) > 1e-2                                 # else equal would say little

def test_real_target(shared_data, tmp_path):
    "Raw files of real bottles: fine-tuned on their corpus, exported, asked for by the line in a process without torch"
    import torch
    from srisc_tl.build import build_corpus
    from srisc_tl.consolidate import load_zoo
    from srisc_tl.convention import DATASETS
    from srisc_tl.corpus import subset
    from srisc_tl.export import export_model
    from srisc_tl.finetune import finetune, predict
    from srisc_tl.loading import get_dls
    from srisc_tl.standardise import standardise_all
    from srisc_tl.splits import draw_target
    standardise_all(shared_data, tmp_path/'zoo', datasets={'mvtec_bottle': DATASETS['mvtec_bottle']})
    corpus = build_corpus(load_zoo(tmp_path/'zoo'), tmp_path/'corpora', 'bottle', datasets=['mvtec_bottle'], pack=(SIZE,))
    train, parts = draw_target(corpus, 8, 0)
    test = parts['test']
    learn = finetune(None, train, epochs=2, size=SIZE, tick=os.devnull)
    line = export_model(learn, tmp_path/'line', ('onnx',))
    probs, _ = predict(learn, test)
    dls = get_dls(test, classes=learn.dls.vocab, aug=[], **learn.dls.made)
    with torch.no_grad(): logits = torch.cat([learn.model(x).cpu() for x, _ in dls.valid]).numpy()
    raw = [str(tmp_path/'zoo'/r) for r in test.items['raw']]
    (tmp_path/'raw.json').write_text(json.dumps(raw))
    code = ("import json, sys, numpy as np; from srisc_tl.line import OnnxModel\n"
            "got = OnnxModel('line').predict(json.load(open('raw.json'))); np.save('logits.npy', got['logits']); json.dump(got['label'], open('label.json', 'w'))\n"
            "assert not {'torch', 'fastai', 'timm', 'torchvision'} & {*sys.modules}")
    subprocess.run([sys.executable, '-c', code], cwd=tmp_path, env={**os.environ, 'PYTHONPATH': str(ROOT)}, check=True, timeout=300)
    said = json.loads((tmp_path/'label.json').read_text())
    want = [learn.dls.vocab[i] for i in probs.argmax(1)]
    assert np.abs(np.load(tmp_path/'logits.npy') - logits).max() < 1e-3
    assert np.mean([a == b for a, b in zip(said, want)]) >= .999 and len(raw) > 90

def test_nothing_asks_for_the_extra_unasked():
    "No room imports onnx, its runtime or segmentation_models_pytorch before it is asked for them"
    tops = {m for p in LIB.glob('*.py') for n in ast.parse(p.read_text()).body if isinstance(n, (ast.Import, ast.ImportFrom))
            for m in ([n.module or ''] if isinstance(n, ast.ImportFrom) else [a.name for a in n.names])}
    assert 'torch' in tops and not [m for m in tops if m.split('.')[0] in ('onnx', 'onnxruntime', 'onnxscript', 'segmentation_models_pytorch')]

def test_missing_extra(made, monkeypatch):
    from srisc_tl.convention import DataError
    from srisc_tl.export import export_model
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda m, *a: None if m.startswith('onnx') else find(m, *a))
    with pytest.raises(DataError, match=r"onnx, onnxscript, onnxruntime is not installed: pip install 'srisc_tl\[export\]'"): export_model(made['resnet18'], made['tmp']/'never')
    assert not (made['tmp']/'never').exists()

BAD = dict( # what is wrong → arguments of export_model; what the error says
    format=(dict(formats=('onnx', 'tflite')), "unknown format 'tflite'; known: ['onnx', 'pt2']"),
    good=(dict(good=['x/fine'], threshold=.5), "unknown class 'x/fine'; the model knows ['x/a', 'x/good', 'x/c']"),
    threshold=(dict(good=['x/good'], threshold=1.5), 'a threshold from 0 to 1'),
    temperature=(dict(temperature=-1.), 'wanted more than 0'),
    there=(dict(path='resnet18'), 'is there already'),
)

@pytest.mark.parametrize('what', BAD)
def test_bad_input(made, what):
    from srisc_tl.convention import DataError
    from srisc_tl.export import export_model
    args, says = BAD[what]
    args = dict(path='never') | args
    with pytest.raises(DataError) as e: export_model(made['resnet18'], made['tmp']/args.pop('path'), **args)
    assert says in str(e.value) and not [*made['tmp'].glob('*never*')] and not [*made['tmp'].glob('.*.tmp')]
