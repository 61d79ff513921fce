"""Regimes by command: what is wrong is said before anything is written, shared stages run once, a second run trains nothing."""
import os, re, subprocess, sys
from pathlib import Path
import numpy as np
import pytest
from repo import ROOT

QUICK = dict(epochs=1, size=32, bs=8)

def invented(tmp, **sets):
    "A zoo of invented sets: name → (industry, images, labels, natural)"
    from PIL import Image
    from srisc_tl.convention import file_sha256, items_frame
    from srisc_tl.voc import save_voc
    for k, (name, (industry, n, labels, natural)) in enumerate(sets.items()):
        rows, rng = [], np.random.default_rng(k)
        (tmp/name).mkdir()
        for i in range(n):
            Image.fromarray(rng.integers(0, 255, (40, 50), dtype=np.uint8)).save(p := tmp/name/f'{i}.png')
            rows.append(dict(path=str(p), dataset=name, industry=industry, label=labels[i % len(labels)], width=50, height=40, mode='L', sha256=file_sha256(p)))
        save_voc(items_frame(rows), tmp/'zoo'/name, record=dict(natural=natural))
    return tmp/'zoo'

@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "Folders of an invented source, of one class only, of natural images, of a target, and of a folder without images"
    from srisc_tl.build import build_corpus
    from srisc_tl.consolidate import load_zoo
    tmp = tmp_path_factory.mktemp('made')
    zoo = load_zoo(invented(tmp, bare=('electronics/pcb/bare', 16, 'ab', False), chip=('electronics/chip', 12, 'ab', False), weave=('textile', 12, 'abc', False),
                            one=('metal', 6, 'a', False), film=('film', 24, 'ab', False), photos=('natural', 8, 'ab', True)))
    build = lambda name, *sets: build_corpus(zoo, tmp/'corpora', name, datasets=list(sets)).items['root'].iloc[0]
    (tmp/'empty/n01').mkdir(parents=True)
    return dict(srisc=build('srisc', 'bare', 'chip', 'weave'), one=build('one', 'one'), natural=build('imagenet', 'photos'), film=build('film', 'film'), empty=tmp/'empty', tmp=tmp)

BAD = { # what is wrong → flags, with WEIGHTS for the text of a file; what the error says
    'unknown regime': (dict(regime='sequentiel'), "needs a corpus ['sequentiel']"),
    'no stage text': (dict(regime='imagenet,srisc*two'), "the fraction 'two' is no number"),
    'unknown industry': (dict(regime='srisc/electronic'), "no image of srisc in industry='electronic'"),
    'one class': (dict(corpus='one'), 'has one class only'),
    'no weights': (dict(regime='adaptive'), 'needs importance weights'),
    'weights of others': (dict(regime='adaptive', weights='cls,weight\nsilk/a,1\n'), 'unknown classes'),
    'weights of some': (dict(regime='adaptive', weights='cls,weight\nbare/a,1\n'), 'differ in 6 name(s)'),
    'negative weights': (dict(regime='adaptive', weights=-1), 'must be finite, not negative'),
    'weights that are NaN': (dict(regime='adaptive', weights='nan'), 'must be finite'),
    'weights all zero': (dict(regime='adaptive', weights=0), 'not all zero'),
    'no natural images': (dict(regime='joint'), "needs a corpus ['imagenet']"),
    'folder without images': (dict(regime='joint', natural='empty'), 'empty'),
    'target within the source': (dict(regime='adaptive', target='srisc'), 'is part of srisc'),
    'unknown industry of narrowings': (dict(all_regimes=True, industry='glass'), "industry='glass'"),
    'unknown precision': (dict(precision='fp8'), "precision='fp8'"),
    'unknown body': (dict(arch='resnet18x'), 'resnet18'),
    'too little memory': (dict(bs=10**7), 'too little memory'),
    'unknown logger': (dict(log='mlflow'), "unknown logger 'mlflow'"),
    'published weights in between': (dict(regime='srisc,imagenet'), 'only be the first stage')}

@pytest.mark.parametrize('case', BAD)
def test_what_is_wrong_is_said_first(case, made, tmp_path):
    from srisc_tl.cli import srisc_pretrain
    from srisc_tl.convention import DataError
    flags, why = BAD[case]
    flags = {k: str(made[v]) if v in made else v for k, v in flags.items()}
    if (w := flags.get('weights')) is not None:
        classes = [f'{d}/{c}' for d, cs in dict(bare='ab', chip='ab', weave='abc').items() for c in cs]
        (tmp_path/'w.csv').write_text(w if 'cls' in str(w) else 'cls,weight\n' + ''.join(f'{c},{w}\n' for c in classes))
        flags['weights'] = str(tmp_path/'w.csv')
    with pytest.raises(DataError, match=re.escape(why)): srisc_pretrain(**dict(corpus=str(made['srisc']), out=str(tmp_path/'out')) | QUICK | flags)
    trained = [p for p in (tmp_path/'out').glob('*') if not p.name.startswith(('imagenet', 'logs'))]
    assert not trained, f'written before the error: {trained}'

def test_two_processes_make_what_one_makes(made, tmp_path, capsys):
    "The same checkpoints, to the byte, and each stage once"
    from srisc_tl.cli import srisc_pretrain
    run = dict(corpus=str(made['srisc']), regime='sequential; imagenet,srisc,srisc/electronics; balanced', **QUICK)
    for n in (1, 2): srisc_pretrain(out=str(tmp_path/str(n)), n_jobs=n, **run)
    one, two = ({p.parent.name: p.read_bytes() for p in (tmp_path/n).glob('*/weights.safetensors')} for n in '12')
    assert one.keys() == two.keys() and len(one) == 4
    assert one == two

@pytest.mark.slow  # two processes that start up together: 20 s
def test_torchrun(made, tmp_path):
    "The command as it is, started twice by torchrun: one of the two speaks, weights are selected once, the plan is carried out"
    script = tmp_path/'run.py'
    script.write_text('from srisc_tl.cli import srisc_pretrain\nif __name__ == "__main__": srisc_pretrain()\n')
    args = ['--corpus', made['srisc'], '--regime', 'adaptive', '--target', made['film'], '--epochs', '1', '--size', '32', '--bs', '8', '--out', tmp_path/'out']
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
    r = subprocess.run([Path(sys.executable).parent/'torchrun', '--nproc-per-node', '2', script, *map(str, args)], env=env, capture_output=True, text=True, timeout=200)
    assert r.returncode == 0, r.stderr[-3000:]
    assert r.stdout.count('distinct stage(s)') == 1 and r.stdout.count(' trained ') == 2
    assert len(list((tmp_path/'out').glob('weights-film-ngiam-*.csv'))) == 1 and len(list((tmp_path/'out').glob('srisc@w-*'))) == 1

@pytest.fixture(scope='module')
def real(real_zoo, tmp_path_factory):
    "A small source of all real sets but the target, natural images, and the target"
    from srisc_tl.build import build_corpus
    from srisc_tl.consolidate import load_zoo
    tmp = tmp_path_factory.mktemp('real')
    few = dict(optical_film=24, tiny_imagenet=2)
    zoo = {n: df.groupby('label', sort=False).head(few.get(n, 8)).reset_index(drop=True) for n, df in load_zoo(real_zoo[0]).items()}
    zoo['tiny_imagenet'] = zoo['tiny_imagenet'][:40]
    build = lambda name, **kw: build_corpus(zoo, tmp, name, pack=(), **kw).items['root'].iloc[0]
    return build('srisc', exclude=['optical_film']), build('imagenet', datasets=['tiny_imagenet']), build('film', datasets=['optical_film'])

@pytest.mark.slow  # thirteen stages: 100 s
def test_all_regimes_on_the_real_zoo_once(real, tmp_path, capsys):
    "Every regime, the three narrowings and a growing source in one command: the plan, the files and their times say that no stage ran twice"
    from srisc_tl.cli import srisc_pretrain
    corpus, natural, target = real
    def run():
        srisc_pretrain(corpus=corpus, natural=natural, target=target, all_regimes=True, out=str(tmp_path), epochs=1, epoch_len=64, size=32)
        return capsys.readouterr().out, {p.parent.name: p.stat().st_mtime_ns for p in tmp_path.glob('*/weights.safetensors')}
    (said, files), (again, same) = run(), run()
    n = int(re.search(r'(\d+) × train', said)[1])
    assert n == 13 and said.count(' trained ') == n == len(files) - 1                          # and the published weights
    for chain in ('imagenet → srisc → srisc/electronics/pcb', 'imagenet → srisc'): assert f'{chain} ' in said
    for stage in ('imagenet+srisc', 'imagenet+srisc@w', 'srisc@w', 'srisc/electronics', 'srisc/electronics/pcb', 'srisc/electronics/pcb/bare', *(f'sriscx{f}' for f in ('0.0625', '0.125', '0.25', '0.5'))):
        assert re.search(rf'^{re.escape(stage)} ', said, re.M), f'{stage} was not run:\n{said}'
    assert 'left out' not in said, said
    assert files == same and 'nothing to train' in again and ' trained ' not in again, again
