"""Training that is killed, and training in two processes: the weights at the end are those of one quiet run."""
import os, random, signal, subprocess, sys, time
import numpy as np
import pytest
import torch
from repo import ROOT, flags

ENV = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
TRAIN = '''
import sys, torch
torch.set_num_threads(1)
from srisc_tl.build import load_corpus
from srisc_tl.pretrain import Stage, pretrain
from srisc_tl.training import Recipe
corpus, out, recipe, minutes = sys.argv[1:]
c = load_corpus(corpus)
weights = {k: 1. + i for i, k in enumerate(c.classes)}
print(pretrain((Stage(c, weights),), 'mobilenetv3_small_050', out, eval(recipe), seed=1, minutes=float(minutes)).path)
'''

@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
    "Sixty invented images of two classes, packed"
    from PIL import Image
    from srisc_tl.build import build_corpus
    from srisc_tl.consolidate import load_zoo
    from srisc_tl.convention import file_sha256, items_frame
    from srisc_tl.voc import save_voc
    tmp, rng, rows = tmp_path_factory.mktemp('corpus'), np.random.default_rng(0), []
    for i in range(60):
        im, label = rng.integers(0, 150, (60, 50), dtype=np.uint8), 'ab'[i % 2]
        im[10:50, {'a': 5, 'b': 35}[label]:][:, :10] = 255
        Image.fromarray(im).save(p := tmp/f'{i}.png')
        rows.append(dict(path=str(p), dataset='film', industry='film', label=label, width=50, height=60, mode='L', sha256=file_sha256(p)))
    save_voc(items_frame(rows), tmp/'zoo/film')
    return build_corpus(load_zoo(tmp/'zoo'), tmp/'corpora', pack=(32,)).items['root'].iloc[0]

def start(script, *args): return subprocess.Popen([*script, *map(str, args)], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)

def finish(p):
    said = p.communicate(timeout=120)[0]
    assert p.returncode == 0, said
    return said

def weights_of(out):
    from safetensors.torch import load_file
    found = [p for p in out.glob('*/weights.safetensors') if not p.parent.name.startswith('imagenet')]
    assert len(found) == 1 and not list(out.glob('.state*')), list(out.iterdir())
    return load_file(found[0])

def test_killed_at_random_steps(corpus, tmp_path):
    script, recipe, rng = tmp_path/'train.py', f"Recipe(epochs={30 if 'slow' in flags() else 12}, bs=8, size=32, mixup=.2, accumulate=2)", random.Random(0)
    script.write_text(TRAIN)
    run = lambda out: start([sys.executable, script], corpus, tmp_path/out, recipe, 0)
    finish(run('calm'))
    kills = 0
    while kills < int(os.environ.get('SRISC_KILLS', 3 if 'slow' in flags() else 1)):
        p = run('wild')
        state = lambda: [f.stat().st_mtime_ns for f in (tmp_path/'wild').glob('.state-*') if not f.name.endswith('.tmp')]
        before, until = state(), time.time() + 120
        while state() == before and p.poll() is None and time.time() < until: time.sleep(.005)      # it has come further than the last one
        time.sleep(rng.uniform(0, .5))
        if p.poll() is not None: break                                                               # the end came before the kill
        os.killpg(p.pid, signal.SIGKILL)
        p.communicate()
        kills += 1
    assert kills
    finish(run('wild'))
    calm, wild = weights_of(tmp_path/'calm'), weights_of(tmp_path/'wild')
    assert all(torch.equal(v, wild[k]) for k, v in calm.items())

LOSSES = '''
import os, sys, json, torch
torch.set_num_threads(1)
from fastai.vision.all import rank_distrib
from srisc_tl.build import load_corpus
from srisc_tl.pretrain import Session, Stage, distributed
from srisc_tl.training import Recipe
import srisc_tl.pretrain as pretrain, srisc_tl.loading as loading
corpus, out = sys.argv[1:]
c = load_corpus(corpus)
stage = Stage(c, {k: 1. + i for i, k in enumerate(c.classes)})
pretrain.get_dls = lambda *args, **kw: loading.get_dls(*args, **kw, aug=[])
learn = stage.learner(None, 'key', 'convnext_atto', Recipe(epochs=2, bs=16, size=32), 1, Session(out, tick=os.devnull))
learn.model[1][2].p = 0.      # dropout's draws are each process' own
seen = []
gather = learn.dls.train.gather
learn.dls.train.gather = lambda at, *args: seen.extend(map(int, at)) or gather(at, *args)
with learn.no_logging(), distributed(learn): learn.fit_one_cycle(2, 1e-3)
torch.save(dict(seen=seen, losses=torch.tensor([float(o) for o in learn.recorder.losses]), weights={k: v for k, v in learn.model.state_dict().items()}), f'{out}/{rank_distrib()}.pt')
'''

def test_two_processes_train_as_one(corpus, tmp_path):
    "gloo, weighted sampling, the same global batch: one stream of samples, losses equal within float tolerance"
    script = tmp_path/'losses.py'
    script.write_text(LOSSES)
    one, two = tmp_path/'one', tmp_path/'two'
    one.mkdir(), two.mkdir()
    finish(start([sys.executable, script], corpus, one))
    finish(start([sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node', '2', '--standalone', script], corpus, two))
    whole, parts = torch.load(one/'0.pt'), [torch.load(two/f'{r}.pt') for r in (0, 1)]
    stream = torch.tensor(whole['seen']).reshape(-1, 2, 8)                                          # batch, process, image
    assert [p['seen'] for p in parts] == [stream[:, r].flatten().tolist() for r in (0, 1)]
    assert all(torch.allclose(p['losses'], whole['losses'], rtol=1e-4) for p in parts)               # fastai records the mean over processes
    assert all(torch.equal(v, parts[1]['weights'][k]) for k, v in parts[0]['weights'].items())
    assert all(torch.allclose(v, parts[0]['weights'][k], atol=2e-4) for k, v in whole['weights'].items())
