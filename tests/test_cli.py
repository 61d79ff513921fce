"""The commands from outside: quick help with examples that run, one document with --json, and for each kind of bad input one line and its exit code."""
import glob, json, os, re, resource, shlex, shutil, signal, sqlite3, subprocess, sys, time
from dataclasses import asdict
import pytest
from repo import ROOT, commands

HEAVY = r'\|\s+(torch|torchvision|fastai|timm|pandas|numpy|pyarrow)$'  # help must not wait for them
WRAPPER = 'import sys\nfrom {mod} import {fn}\nif __name__ == "__main__": sys.exit({fn}())\n'  # what pip installs
# One call a command, complete but for a MISSING folder or file; NEW is what it would write.
BAD = dict(
    srisc_demo='--data MISSING --out NEW',
    srisc_import='MISSING --name n --industry a/b --zoo NEW',
    srisc_check='MISSING',
    srisc_build='--zoo MISSING --out NEW',
    srisc_convert='--corpus MISSING --out NEW',
    srisc_pretrain='--corpus MISSING --regime imagenet,srisc --out NEW',
    srisc_select='--ckpt MISSING --corpus MISSING --target MISSING --selector ngiam --out NEW',
    srisc_finetune='--ckpt MISSING --target MISSING',
    srisc_export='--model MISSING --out NEW',
    srisc_run='regimes --zoo MISSING --store NEW',
    srisc_report='--store MISSING --out NEW',
    srisc_recommend='--store NEW --target MISSING --out NEW')

@pytest.fixture
def script(tmp_path):
    "A command as pip installs it: the words that start it"
    def _script(name, *args, opts=()):
        mod, fn = commands()[name].split(':')
        file = tmp_path/name
        file.write_text(WRAPPER.format(mod=mod, fn=fn))
        return [sys.executable, *opts, str(file), *args]
    return _script

@pytest.fixture
def call(tmp_path, script):
    "Run a command as its installed script does; returns its CompletedProcess"
    def _call(name, *args, opts=()):
        return subprocess.run(script(name, *args, opts=opts), cwd=tmp_path, timeout=300, capture_output=True, text=True,
                              env={**os.environ, 'PYTHONPATH': str(ROOT)})
    return _call

cpu = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])

@pytest.mark.parametrize('name', commands())
def test_help(name, call):
    t = cpu()
    r = call(name, '--help', opts=('-X', 'importtime'))
    t = cpu() - t  # seconds of the processor, which a busy machine hardly stretches
    assert r.returncode == 0 and r.stdout.startswith('usage'), r.stdout + r.stderr[-2000:]
    slow = re.findall(HEAVY, r.stderr, re.M)
    assert not slow, f'{name} --help imports {", ".join(slow)}'
    assert t < 3, f'{name} --help took {t:.1f} s of processor time'
    assert f'\n  {name} ' in r.stdout.split('\nexamples:\n')[1] and '\nkeys of --json:\n' in r.stdout

def test_version(call):
    r = call('srisc_check', '--version')
    assert (r.returncode, r.stdout, r.stderr) == (0, f'srisc_tl {re.search("version = (.+)", (ROOT/"settings.ini").read_text())[1]}\n', '')

@pytest.mark.parametrize('name', commands())
def test_missing_folder(name, call, tmp_path):
    assert name in BAD, f'add a call of {name} with a missing folder to BAD'
    missing, new = tmp_path/'not there'/'at all', tmp_path/'new'
    r = call(name, *[{'MISSING': str(missing), 'NEW': str(new)}.get(o, o) for o in BAD[name].split()])
    lines = r.stderr.splitlines()
    assert r.returncode == 2, f'exit code {r.returncode}\n{r.stdout}\n{r.stderr}'
    assert len(lines) == 1 and lines[0].startswith(f'{name}: ') and str(missing) in lines[0] and not missing.exists(), f'wanted one line naming {missing}:\n{r.stderr}'
    assert not r.stdout and not new.exists(), f'{name} left {new.name} behind'

@pytest.fixture(scope='module')
def place(tmp_path_factory):
    "A folder as the manual's examples find it, made by the commands themselves, and what is wrong beside it"
    import numpy as np
    from PIL import Image
    from srisc_tl.cli import srisc_build, srisc_finetune, srisc_import, srisc_pretrain
    from srisc_tl.convention import DATASETS
    from srisc_tl.experiment import Store, Trial
    tmp, here = tmp_path_factory.mktemp('place'), os.getcwd()
    os.chdir(tmp)
    for i in range(72):
        name, label = ('line7', 'line8', 'line9')[i % 3], ('ok', 'dust')[i//3 % 2]
        (tmp/f'raw/{name}/{label}').mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (40, 50), dtype=np.uint8)).save(tmp/f'raw/{name}/{label}/{i}.png')
    (tmp/'own.toml').write_text(''.join(f'[{n}]\nindustry = "film/optical"\nreader = "folder"\n' for n in ('line7', 'line8', 'line9')))
    (tmp/'chain.toml').write_text('[srisc_build]\nexclude = ["line7"]\n')
    srisc_import(all='raw', declarations='own.toml', n_jobs=1)
    srisc_build(exclude='line7', pack='32', n_jobs=1)
    (corpus,) = glob.glob('corpora/srisc-*')
    ckpt = srisc_pretrain(corpus=corpus, regime='srisc', epochs=1, size=32, bs=8, n_jobs=1)['checkpoints']['srisc']
    srisc_finetune(ckpt=str(ckpt), target='zoo/line7', epochs=1, size=32)
    store = Store('results.db')
    for trial in [Trial('regimes', r, 'uniform', 'keep_stats', t, 10, 0) for t in ('line8', 'line9') for r in ('imagenet', 'sequential')]:
        store.append(asdict(trial) | dict(key=trial.key, status='ok', error=.1, n_test=10))
    spoil(tmp, corpus, ckpt)
    yield tmp
    os.chdir(here)
    for n in ('line7', 'line8', 'line9'): DATASETS.pop(n)

def spoil(tmp, corpus, ckpt):
    "What cannot be used, by names that the table below has"
    (tmp/'empty').mkdir()
    for name, text in {'a.txt': 'text', 'broken.toml': 'seed = ', 'broken.json': '{', 'broken.csv': 'a,b\n1', 'text.db': 'no store'*200}.items(): (tmp/name).write_text(text)
    with sqlite3.connect(tmp/'other.db') as con: con.execute('CREATE TABLE t (a)')
    for what, src, file in (('corpus', corpus, 'corpus.json'), ('table', corpus, 'items.parquet'), ('record', ckpt, 'checkpoint.json'), ('weights', ckpt, 'weights.safetensors')):
        shutil.copytree(src, tmp/f'broken/{what}')
        (tmp/f'broken/{what}/{file}').write_text('{"name":')
    for file in ('dataset.json', 'items.parquet'):
        shutil.copytree(tmp/'zoo/line8', tmp/f'broken/zoo_{file[0]}/line8')
        (tmp/f'broken/zoo_{file[0]}/line8/{file}').write_text('{"name":')

@pytest.fixture
def heard(place, capfd, monkeypatch):
    "A command in this process: exit code, stdout, lines of stderr"
    from srisc_tl.commands import COMMANDS
    import srisc_tl.cli
    monkeypatch.chdir(place)
    def _heard(line):
        name, *argv = [p for o in shlex.split(line) for p in (sorted(glob.glob(o)) if '*' in o else [o])]
        capfd.readouterr()
        code = COMMANDS[name].main(argv)
        out, err = capfd.readouterr()
        return code, out, err.splitlines()
    return _heard

SELECTORS = 'ngiam|emd|gabor'
CKPT, CORPUS = '--ckpt checkpoints/srisc-*', '--corpus corpora/srisc-*'
WRONG = { # call → what its one line has to say, as a pattern; exit code 2
    'srisc_demo --data nowhere': 'nowhere: no such file or folder',
    'srisc_demo --data a.txt': 'a.txt: a file, but --data is a folder',
    'srisc_demo --data empty --out new': 'no known dataset below empty',
    'srisc_demo --scale huge --out new': "unknown scale 'huge'; valid: cpu, demo, gpu, smoke",
    'srisc_demo --n-jobs 0': r'--n-jobs 0: wanted a number from 1 to \d+',
    'srisc_import': 'a raw folder or archive is needed, or --all FOLDER',
    'srisc_import nowhere --guess': 'nowhere: no such file or folder',
    'srisc_import a.txt --guess': 'a.txt',
    'srisc_import empty --guess': 'empty holds no files',
    'srisc_import raw/line7': 'say the --name',
    'srisc_import raw/line7 --name x': 'say its --industry',
    'srisc_import raw/line7 --name x --industry a --reader magic --zoo new': r"unknown reader 'magic'.*folder",
    'srisc_import raw/line7 --name x --industry a --args {': '--args is no JSON',
    'srisc_import raw/line7 --declarations broken.toml': 'cannot read declarations from broken.toml',
    'srisc_import raw/line7 --declarations nowhere': 'nowhere: no such file',
    'srisc_import --all empty --zoo new': 'no known dataset below empty',
    'srisc_import --all a.txt': 'a.txt: a file, but --all is a folder',
    'srisc_import magic --download': "no dataset 'magic'; those with a download: ",
    'srisc_check nowhere': 'nowhere: no such file or folder',
    'srisc_check a.txt': 'nothing to check at a.txt',
    'srisc_check empty': 'nothing to check at empty',
    'srisc_build --zoo nowhere': 'nowhere: no such file or folder',
    'srisc_build --zoo a.txt': 'a.txt: a file, but --zoo is a folder',
    'srisc_build --zoo empty': 'no standardised dataset below empty',
    'srisc_build --zoo corpora': 'no standardised dataset below corpora',
    'srisc_build --zoo broken/zoo_d': 'zoo_d/line8/dataset.json: no record in JSON',
    'srisc_build --zoo broken/zoo_i': 'zoo_i/line8/items.parquet: no table in Parquet',
    'srisc_build --cap -1': '--cap -1: wanted a number at least 0',
    'srisc_build --cap many': "invalid int value: 'many'",
    'srisc_build --pack 4': "from 16 to 256, not '4'",
    'srisc_build --pack 96,x': "from 16 to 256, not 'x'",
    'srisc_build --industry glass': r"no dataset for corpus 'srisc'.*glass.*line7",
    'srisc_build --labels nowhere.csv': 'nowhere.csv: no such file',
    'srisc_build --labels a.txt': 'a.txt: no table of corrections',
    **{f'srisc_build --{k} line6': r"no dataset \['line6'\].*'line7', 'line8', 'line9'" for k in ('datasets', 'exclude', 'patch', 'resize')},
    'srisc_pretrain': 'a source is needed: --corpus FOLDER',
    'srisc_pretrain --corpus nowhere': 'nowhere: no such file or folder',
    'srisc_pretrain --corpus a.txt': 'a.txt: a file, but --corpus is a folder',
    'srisc_pretrain --corpus empty': 'no corpus at .*empty',
    'srisc_pretrain --corpus zoo/line8': 'no corpus at .*zoo/line8',
    'srisc_pretrain --corpus broken/corpus': 'broken/corpus/corpus.json: no record in JSON',
    'srisc_pretrain --corpus broken/table': 'broken/table/items.parquet: no table in Parquet',
    f'srisc_pretrain {CORPUS} --regime magic': 'magic',
    f'srisc_pretrain {CORPUS} --regime adaptive --selector magic --target zoo/line7': f"unknown selector 'magic'.*{SELECTORS}",
    f'srisc_pretrain {CORPUS} --regime adaptive --weights nowhere.csv': 'nowhere.csv: no CSV of class weights',
    f'srisc_pretrain {CORPUS} --regime adaptive --weights broken.csv': 'broken.csv: the column .* is missing',
    f'srisc_pretrain {CORPUS} --regime adaptive --target empty': 'neither a corpus nor a standardised dataset at empty',
    f'srisc_pretrain {CORPUS} --regime joint --natural empty': 'empty',
    f'srisc_pretrain {CORPUS} --arch resnet1x --regime srisc': "resnet",
    f'srisc_pretrain {CORPUS} --pretrained nowhere': 'nowhere: no such file',
    f'srisc_pretrain {CORPUS} --pretrained a.txt --regime imagenet --size 32': 'a.txt',
    f'srisc_pretrain {CORPUS} --log mlflow --regime srisc --seed 1 --size 32 --epochs 1': "unknown logger 'mlflow'; known: tensorboard, wandb",
    f'srisc_pretrain {CORPUS} --precision fp8': "precision='fp8'; wanted precision: fp32, bf16, fp16",
    f'srisc_pretrain {CORPUS} --channels 2': 'n_in=2; wanted n_in: 1 or 3',
    f'srisc_pretrain {CORPUS} --epochs 0': '--epochs 0: wanted a number at least 1',
    f'srisc_pretrain {CORPUS} --size 1000': '--size 1000: wanted a number from 16 to 256',
    f'srisc_pretrain {CORPUS} --label-smoothing 2': 'from 0 to 1',
    f'srisc_select {CKPT}': '--corpus FOLDER is needed',
    f'srisc_select --ckpt nowhere {CORPUS} --target zoo/line7': 'nowhere: no such file or folder',
    f'srisc_select --ckpt a.txt {CORPUS} --target zoo/line7': 'a.txt: a file, but --ckpt is a folder',
    f'srisc_select --ckpt empty {CORPUS} --target zoo/line7': 'no checkpoint at empty',
    f'srisc_select --ckpt zoo/line8 {CORPUS} --target zoo/line7': 'no checkpoint at zoo/line8',
    f'srisc_select --ckpt broken/record {CORPUS} --target zoo/line7': 'broken/record/checkpoint.json: not JSON',
    f'srisc_select --ckpt broken/weights {CORPUS} --target zoo/line7': 'broken/weights/weights.safetensors: damaged',
    f'srisc_select {CKPT} {CORPUS} --target zoo/line7 --selector magic': f"unknown selector 'magic'.*{SELECTORS}",
    f'srisc_select {CKPT} {CORPUS} --target zoo/line7 --selector human --classes glass': 'glass',
    f'srisc_select {CKPT} {CORPUS} --target zoo/line7 --seed -1': '--seed -1: wanted a number from 0',
    f'srisc_finetune {CKPT}': '--target FOLDER is needed',
    f'srisc_finetune {CKPT} --target a.txt': 'a.txt: a file, but --target is a folder',
    f'srisc_finetune {CKPT} --target empty --out new': 'neither a corpus nor a standardised dataset at empty',
    f'srisc_finetune {CKPT} --target zoo/line7 --out model': 'model is there already',
    f'srisc_finetune {CKPT} --target zoo/line7 --out new --strategy magic': r"unknown strategy 'magic'.*full.*l2sp",
    f'srisc_finetune {CKPT} --target zoo/line7 --out new --per-class -1': '--per-class -1: wanted a number at least 0',
    'srisc_finetune --ckpt broken/weights --target zoo/line7 --out new': 'weights.safetensors: damaged',
    'srisc_finetune --ckpt corpora/srisc-* --target zoo/line7 --out new': 'no checkpoint at corpora/srisc-',
    'srisc_export --model empty': 'no checkpoint at empty',
    'srisc_export --model a.txt': 'a.txt: a file, but --model is a folder',
    'srisc_export --model broken/weights': 'weights.safetensors: damaged',
    'srisc_export --out new --formats tflite': r"unknown format 'tflite'; known: \['onnx', 'pt2'\]",
    'srisc_export --out new --body magic': r"'magic'.*timm",
    'srisc_export --out new --good ok': 'that is chosen on a target: give its folder',
    'srisc_export --out new --target zoo/line7 --good magic': r'magic.*dust',
    'srisc_export --out zoo': 'zoo is there already',
    'srisc_export --out new --defect-share 2': '--defect-share 2.0: wanted a number at most 1',
    'srisc_run magic': "unknown study 'magic'; valid: .*regimes",
    'srisc_run --scale huge': "unknown scale 'huge'; valid: cpu, demo, gpu, smoke",
    'srisc_run --zoo a.txt': 'a.txt: a file, but --zoo is a folder',
    'srisc_run --zoo empty': 'no standardised dataset below empty',
    'srisc_run --targets line6': "unknown target 'line6'; valid: line7, line8, line9",
    'srisc_run adaptive --targets line7 --selectors magic': f"unknown selector 'magic'; valid: .*{SELECTORS}",
    'srisc_run strategies --targets line7 --strategies magic': "unknown strategy 'magic'; valid: .*l2sp",
    'srisc_run adaptive --targets line7 --human nowhere.json': 'nowhere.json',
    'srisc_run adaptive --targets line7 --human broken.json': 'broken.json',
    'srisc_run --targets line7 --seeds -1': '--seeds -1: wanted a number at least 0',
    'srisc_run --targets line7 --store text.db --out new': 'text.db: cannot be used as a store of results',
    'srisc_run --targets line7 --store other.db --out new': 'other.db: an SQLite file, but no store',
    'srisc_report --store nowhere': 'nowhere: no such file or folder',
    'srisc_report --store text.db': 'text.db: cannot be used as a store of results',
    'srisc_report --store other.db': 'other.db: an SQLite file, but no store',
    'srisc_report --store zoo': 'zoo',
    'srisc_report --study magic': r"no trial of study 'magic'; it has \['regimes'\]",
    'srisc_convert': '--corpus FOLDER is needed',
    'srisc_recommend': '--target FOLDER is needed',
    'srisc_recommend --store nowhere --target zoo/line7': 'nowhere: no such store',
    'srisc_recommend --store text.db --target zoo/line7': 'text.db: cannot be used',
    'srisc_recommend --target a.txt': 'a.txt: a file, but --target is a folder',
    'srisc_recommend --target empty': 'neither a corpus nor a standardised dataset at empty',
    'srisc_recommend --target zoo/line7 --study magic': "unknown study 'magic'; valid: adaptive",
    'srisc_recommend --target zoo/line7 --per-class 99': r'no trials with 99 training images a class, but \[10\]',
    'srisc_recommend --target zoo/line7 --own ngiam': "--own is ARM=FOLDER, not 'ngiam'",
    'srisc_recommend --target zoo/line7 --own ngiam=nowhere': 'nowhere: no such file or folder',
    'srisc_recommend --target zoo/line7 --own ngiam=empty': 'no checkpoint at empty'}
for _n in commands(): # what all of them refuse in the same way
    WRONG |= {f'{_n} --magic': 'unrecognized arguments: --magic', f'{_n} --config nowhere.toml': 'nowhere.toml: no TOML file',
              f'{_n} --config broken.toml': 'broken.toml: no TOML file', f'{_n} --config key.toml': f"key.toml: unknown key 'magic' of {_n}; valid: .*; tables: .*{_n}",
              f'{_n} --config {_n}.toml': f'{_n}.toml: .* wanted (str|int)'}

@pytest.mark.parametrize('line', WRONG)
def test_bad_input(line, heard, place):
    "Exit code 2, nothing on stdout, and exactly one line that says what is wrong, with the valid values where there is a list"
    name = line.split()[0]
    (place/'key.toml').write_text('magic = 1'), (place/f'{name}.toml').write_text(f'[{name}]\n{"n_jobs" if name not in ("srisc_convert", "srisc_select", "srisc_finetune", "srisc_export", "srisc_report") else "out"} = 1.5')
    code, out, err = heard(line)
    assert len(err) == 1 and err[0].startswith(f'{name}: '), '\n'.join(['wanted one line:', *err])
    assert re.search(WRONG[line], err[0]), err[0]
    assert code == 2 and 'Traceback' not in err[0], err[0]
    assert not (place/'new/report.html').exists()

def test_every_command_has_bad_input():
    assert {o.split()[0] for o in WRONG} == set(commands())

CHEAP = ('srisc_import', 'srisc_check', 'srisc_build', 'srisc_report')

def test_examples_can_be_read():
    from srisc_tl.manual import MANUAL
    import srisc_tl.cli as cli
    assert set(MANUAL) == set(commands())
    for name, about in MANUAL.items():
        for line in about['examples']: getattr(cli, name).parser().parse_args(shlex.split(line)[1:])
        for flag in getattr(cli, name).parser()._option_string_actions: assert re.fullmatch(r'--[a-z]+(-[a-z]+)*|-h', flag), f'{flag} is hard to complete'

def test_examples_run(heard, place, monkeypatch):
    "The manual's story from the raw folder on, in its order, as help prints it"
    from srisc_tl.manual import MANUAL
    shutil.copytree(place/'raw', place/'story/raw')
    for o in ('own.toml', 'results.db'): shutil.copy(place/o, place/'story')
    monkeypatch.chdir(place/'story')
    for line in [o for n in CHEAP for o in MANUAL[n]['examples']]:
        code, out, err = heard(line)
        assert code == 0 and out.strip() and not err, f'{line}: exit code {code}\n{out}\n{err}'
    assert {p.name.split('-')[0] for p in (place/'story/corpora').glob('[a-z]*')} == {'srisc', 'source', 'film'}

JSON = {
    'srisc_import raw/line7 --guess': dict(reader='folder', images=24),
    'srisc_import --all raw --declarations own.toml': {},
    'srisc_check zoo': dict(counts=dict(error=0, warning=0, info=0)),
    'srisc_build --exclude line7 --pack 32': dict(name='srisc', images=48, left_out={}),
    f'srisc_pretrain {CORPUS} --regime srisc --epochs 1 --size 32 --bs 8 --dry-run': dict(checkpoints={}),
    f'srisc_pretrain {CORPUS} --regime srisc --epochs 1 --size 32 --bs 8': {},
    f'srisc_select {CKPT} {CORPUS} --target zoo/line7 --selector uniform --out u.csv': dict(file='u.csv', images=None),
    f'srisc_finetune {CKPT} --target zoo/line7 --epochs 1 --size 32 --out model2': dict(model='model2'),
    'srisc_export --out body.safetensors --body timm': dict(file='body.safetensors'),
    'srisc_report --out r.html': dict(page='r.html')}

@pytest.mark.parametrize('line', JSON)
def test_json(line, heard):
    "One document and nothing else on stdout, its keys those that help says; what else is said goes to stderr"
    from srisc_tl.commands import COMMANDS
    code, out, err = heard(f'{line} --json')
    assert code == 0, err
    found = json.loads(out)
    assert found.keys() <= COMMANDS[line.split()[0]].keys.keys() and found.items() >= JSON[line].items(), out

def test_config(heard, place):
    "The command's table goes before the top, and what is typed before both"
    (place/'c.toml').write_text('zoo = "zoo"\n[srisc_build]\nexclude = ["line7", "line8"]\ncap = 3\npack = ""\nname = "few"\n[srisc_run]\nscale = "cpu"')
    made = lambda more: json.loads(heard(f'srisc_build --config c.toml --json {more}')[1])
    assert (made('')['images'], made('--cap 5')['images'], made('--exclude line7')['images']) == (6, 10, 12)

def test_failure_of_the_work(heard, place, monkeypatch):
    "Exit code 1 and one line; the traceback only with --debug; the sets that could be read are told, too"
    def fall(*args, **kwargs): raise OSError(28, 'No space left\non device')
    monkeypatch.setattr('srisc_tl.verify.check_zoo', fall)
    assert heard('srisc_check zoo') == (1, '', ['srisc_check: OSError: [Errno 28] No space left on device (--debug says where)'])
    code, _, err = heard('srisc_check zoo --debug')
    assert code == 1 and err[0].startswith('Traceback') and err[-1].startswith('srisc_check: OSError')
    monkeypatch.undo()
    os.chdir(place)
    (place/'half/line8').mkdir(parents=True), shutil.copytree(place/'raw/line9', place/'half/line9')
    code, out, err = heard('srisc_import --all half --declarations own.toml --zoo half_zoo --n-jobs 1 --json')  # joblib's workers stand in another test's folder
    assert code == 1 and len(err) == 1, err
    assert '1 of 2 sets could not be read: line8: ' in err[0], err
    assert [o['state'] for o in json.loads(out)['sets']] == ['', 'new']
    shutil.copytree(place/'zoo', place/'zoo2'), next((place/'zoo2/line8/JPEGImages').iterdir()).unlink()
    code, out, err = heard('srisc_check zoo2 --json')
    assert code == 1 and len(err) == 1 and '1 of 3 are damaged: zoo2/line8' in err[0] and json.loads(out)['damage'][0]['problem'] == 'gone'
    (place/'zoo2/line8/SHA256SUMS').unlink()                # of an earlier version: a fault of the set, as any other
    assert heard('srisc_check zoo2')[0] == 0 and heard('srisc_check zoo2 --strict')[0] == 1

def test_progress_is_for_terminals(script, place):
    "With rate and remaining time where stderr is a terminal, silent elsewhere and with --quiet"
    import fcntl, pty, struct, termios
    def seen(*args):
        up, down = pty.openpty()
        fcntl.ioctl(down, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 120, 0, 0))
        p = subprocess.Popen(script('srisc_check', 'zoo', '--n-jobs', '1', *args), cwd=place, stdout=subprocess.DEVNULL, stderr=down, env={**os.environ, 'PYTHONPATH': str(ROOT)})
        os.close(down)
        text = b''
        try:
            while part := os.read(up, 4096): text += part
        except OSError: pass                                 # Linux says so that nobody writes any more
        finally: os.close(up)
        assert p.wait(60) == 0, text
        return text.decode()
    assert re.search(r'check line7: .*\[\d\d:\d\d<.*img/s', seen()) and seen('--quiet') == ''
    r = subprocess.run(script('srisc_check', 'zoo', '--n-jobs', '1'), cwd=place, capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert r.stderr == '' and 'nothing wrong' in r.stdout

def test_interrupted(script, tmp_path):
    "Ctrl-C ends a command with one line and 130"
    listen = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # a suite in the background ignores it, and its children would
    with subprocess.Popen(script('srisc_demo', '--out', 'demo', '--n-jobs', '1'), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=listen,
                          env={**os.environ, 'PYTHONPATH': str(ROOT)}) as p:
        assert p.stdout.readline() == '== draw\n'
        time.sleep(2)
        os.killpg(p.pid, signal.SIGINT)
        out, err = p.communicate(timeout=120)
    assert (p.returncode, err) == (130, 'srisc_demo: interrupted; the same call goes on where it can\n')
