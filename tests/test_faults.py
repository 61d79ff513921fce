"""Faults of disks and processes: each writer killed at any moment, on a full disk, in a read-only folder, and with a wrong byte in what it wrote.

Afterwards the same call gives the same result ("survived"), or it or `srisc_check` says what is wrong ("detected"); "lost" is neither.
`python tests/test_faults.py 20` prints the table that stands in benchmarks/README.md, measured at twenty moments and five bytes of each file."""
import contextlib, errno, os, resource, shutil, signal, sqlite3, subprocess, sys, tempfile, time
from dataclasses import asdict, dataclass
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
from repo import LIB

ARCH, EPOCHS = 'mobilenetv3_small_050', 1
BYTES = 5                                    # of each file, that are made wrong
QUICK = ('standardise', 'build', 'packed pixels', 'checkpoint', 'store', 'label corrections')  # tested without the flag, too

def files_of(d): return sorted(p for p in Path(d).rglob('*') if p.is_file() and not p.is_symlink())

def tree(d, hidden=False):
    "Names and bytes of all files below a folder"
    return {str(p.relative_to(d)): p.read_bytes() for p in files_of(d) if hidden or not any(o.startswith('.') for o in p.relative_to(d).parts)}

class Inputs:
    "What the writers read: raw images, a zoo, a corpus, a checkpoint"
    def __init__(self, root):
        import torch
        from PIL import Image
        from srisc_tl.backbone import get_model, save_checkpoint
        from srisc_tl.build import build_corpus, load_corpus
        from srisc_tl.consolidate import load_zoo
        from srisc_tl.convention import Dataset
        from srisc_tl.standardise import standardise
        torch.set_num_threads(1)
        rng = np.random.default_rng(0)
        for i in range(16):
            (root/f'raw/film/{"ab"[i % 2]}').mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.normal((60, 170)[i % 2], 25, (48, 40)).clip(0, 255).astype(np.uint8)).save(root/f'raw/film/{"ab"[i % 2]}/{i}.png')
        self.root, self.film = root, Dataset('film', 'film/optical', 'folder')
        standardise(self.film, root/'raw', root/'zoo')
        self.zoo = load_zoo(root/'zoo')
        self.corpus = build_corpus(self.zoo, root/'corpora', pack=(32,))
        self.model = get_model(ARCH, 2, seed=1)
        self.record = dict(arch=ARCH, n_in=3, classes=self.corpus.classes)
        self.ckpt = save_checkpoint(self.model, root/'checkpoints/a', self.record)
        self.folder = Path(self.corpus.items['root'].iloc[0])

def standardised(i, d):
    from srisc_tl.standardise import standardise
    standardise(i.film, i.root/'raw', d/'zoo')

def built(i, d):
    from srisc_tl.build import build_corpus
    build_corpus(i.zoo, d/'corpora', pack=())

def pixels(i, d):
    from srisc_tl.pixels import packed
    packed(d/i.folder.name, 16)

def seen(i, d):
    from srisc_tl.features import features
    features(i.ckpt, i.corpus, d/'.features', size=32, bs=8)

def saved(i, d):
    from srisc_tl.backbone import save_checkpoint
    save_checkpoint(i.model, d/'checkpoints/b', i.record)

def pretrained(i, d):
    from srisc_tl.pretrain import Stage, pretrain
    from srisc_tl.training import Recipe
    pretrain((Stage(i.corpus),), ARCH, d/'checkpoints', Recipe(epochs=EPOCHS, bs=8, size=32), seed=1, minutes=0)

def state(i, d):
    "A learner after one step writes its state"
    import torch
    from fastai.vision.all import DataLoader, DataLoaders, L
    from srisc_tl.resume import write_state
    from srisc_tl.training import get_learner
    torch.manual_seed(0)
    points = L((torch.randn(3), torch.tensor(k % 2)) for k in range(8))
    learn = get_learner(DataLoaders(*[DataLoader(points, bs=8)]*2, device='cpu'), torch.nn.Sequential(torch.nn.Linear(3, 40), torch.nn.Linear(40, 2)), tick=os.devnull)
    with learn.no_logging(): learn.fit(1, .01)
    write_state(d/'.state-x', learn, dict(ident='x', epoch=1, batch=0, pct=.5, iter=1))

def stored(i, d):
    from srisc_tl.experiment import Store, Trial
    store = Store(d/'results.db')
    for seed in range(4):
        t = Trial('regimes', 'imagenet', 'uniform', 'full', 'film', 10, seed)
        store.append(asdict(t) | dict(key=t.key, status='ok', error=.125*seed, n_test=8, created='2026-01-01T00:00:00+00:00', confusion=[[1, 0], [seed, 1]]))

def reported(i, d):
    from srisc_tl.page import Section, write_page
    write_page(d/'report.html', 'Report', '<p>top</p>', [Section(f'Part {k}', 'Text. '*40) for k in range(4)])

def exported(i, d):
    from srisc_tl.exports import export_corpus
    if not (d/'out').exists(): export_corpus(i.corpus, d/'out', 'imagefolder')

def corrected(i, d):
    from srisc_tl.relabel import save_overlay
    items = i.zoo['film']
    save_overlay(pd.DataFrame(dict(dataset='film', sha256=items['sha256'], was=items['label'], label='c')), d/'labels.csv')

def weighed(i, d):
    from srisc_tl.weight_files import save_selection
    save_selection(np.arange(1., len(i.corpus) + 1), i.corpus, d/'weights.csv')

def bodied(i, d):
    from srisc_tl.bodies import export_body
    if not (d/'body.safetensors').exists(): export_body(i.ckpt, d/'body.safetensors')

def lined(i, d):
    from srisc_tl.export import export_model
    if not (d/'line').exists(): export_model(i.ckpt, d/'line', ('pt2',), size=32)

def rows(d):
    "What a store holds, in the order of its keys"
    from srisc_tl.experiment import Store
    return Store(d/'results.db', create=False).frame().sort_values('key').to_json()

def weights(d): return {p.name: p.read_bytes() for p in files_of(d) if p.name == 'weights.safetensors'} | {'card': len(list(d.rglob('README.md')))}

def tensors(d):
    from srisc_tl.resume import open_state
    place, held = open_state(d/'.state-x')
    return place, {k: v.tolist() for k, v in held.items()}

def body(d):
    "Tensors and facts of the file; the order of its facts is another one in each process"
    import safetensors
    with safetensors.safe_open(d/'body.safetensors', 'np') as f: return f.metadata(), {k: f.get_tensor(k).tobytes() for k in f.keys()}

def arrays(d): return {p.name: np.load(p).tobytes() for p in files_of(d) if p.suffix == '.npy'}

@dataclass(frozen=True)
class Writer:
    write: callable         # (inputs, folder): writes, or goes on
    result: callable = tree # folder → what is compared
    inside: str = ''        # of the inputs: what it writes into, copied first

WRITERS = {
    'standardise': Writer(standardised), 'build': Writer(built), 'packed pixels': Writer(pixels, arrays, 'folder'), 'features': Writer(seen, arrays),
    'checkpoint': Writer(saved), 'pretraining': Writer(pretrained, weights), 'saved state': Writer(state, tensors), 'store': Writer(stored, rows),
    'report': Writer(reported), 'export of a corpus': Writer(exported), 'label corrections': Writer(corrected), 'weights': Writer(weighed),
    'body for others': Writer(bodied, body), 'model export': Writer(lined, lambda d: sorted(o.name for o in files_of(d)))}

@contextlib.contextmanager
def place(i, writer, disk=False):
    "A folder to write in, maybe a disk of its own"
    d = Path(tempfile.mkdtemp(prefix='faults_'))
    try:
        if disk: subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', d], check=True)
        if writer.inside: shutil.copytree(o := getattr(i, writer.inside), d/o.name, ignore=shutil.ignore_patterns('pixels'))
        yield d
    finally:
        if disk: subprocess.run(['umount', d], check=True)
        shutil.rmtree(d)

def has_disks():
    "Whether this process may mount"
    if os.geteuid() or not shutil.which('mount'): return False
    d = tempfile.mkdtemp()
    made = subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', d], capture_output=True).returncode == 0
    if made: subprocess.run(['umount', d], check=True)
    os.rmdir(d)
    return made

def child(call, before=lambda: None):
    "Run in a forked process: (exit code or minus the signal, what an error said). 3 is `DataError`, 4 an error of the system that names its file, 5 another one"
    from srisc_tl.convention import DataError
    out, into = os.pipe()
    if not (pid := os.fork()):
        code, said = 0, ''
        try:
            os.close(out), signal.alarm(300)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1), os.dup2(1, 2)
            before()
            call()
        except DataError as e: code, said = 3, str(e)
        except OSError as e: code, said = (4 if e.filename else 5), str(e)
        except BaseException as e: code, said = 5, f'{type(e).__name__}: {e}'
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],)*2)
        try: os.write(into, said.encode(errors='replace')[:4000])
        finally: os._exit(code)
    os.close(into)
    with open(out, 'rb') as f: said = f.read().decode(errors='replace')
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said

WRITES = ('os.rename', 'os.remove', 'os.mkdir', 'os.rmdir', 'os.link', 'os.symlink', 'os.truncate', 'sqlite3.connect')

def moments(d, hit):
    "Call `hit` before each change of a file below `d`, and before each line of ours"
    def hear(event, args):
        if event == 'open' and isinstance(args[0], (str, bytes)) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and os.fsdecode(args[0]).startswith(str(d)): hit('file')
        elif event in WRITES and str(d) in str(args): hit('file')
    def step(frame, event, arg):
        if event == 'line': hit('line')
        return step
    sys.addaudithook(hear)
    sys.settrace(lambda frame, event, arg: step if frame.f_code.co_filename.startswith(str(LIB)) else None)

def counted(i, writer):
    "How many moments of each kind a run has; the size of its largest file"
    with place(i, writer) as d:
        n, note = dict(file=0, line=0), d.with_suffix('.n')
        def hit(kind): n[kind] += 1
        def call():
            writer.write(i, d)
            sys.settrace(None)
            note.write_text(f"{n['file']} {n['line']}")
        assert (ended := child(call, lambda: moments(d, hit))) == (0, ''), ended
        file, line = map(int, note.read_text().split())
        note.unlink()
        return file, line, max(p.stat().st_size for p in files_of(d))

def spread(n, of): return [int(k) for k in np.unique(np.linspace(1, of, n).round())] if n > 0 and of > 0 else []

def kills(i, writer, n):
    "What ends a run: at the k-th change of a file, at the k-th line, amid the k-th byte of a file"
    file, line, size = counted(i, writer)
    some = dict(byte=spread(n//4, size - 1), file=spread(n - n//4, file))
    return [(kind, k) for kind, at in (some | dict(line=spread(n - sum(map(len, some.values())), line))).items() for k in at]

def killer(d, kind, at):
    "Make this process end there"
    if kind == 'byte':
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        return resource.setrlimit(resource.RLIMIT_FSIZE, (at, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    left = [at]
    def hit(what):
        left[0] -= what == kind
        if not left[0]: os.kill(os.getpid(), signal.SIGKILL)
    moments(d, hit)

def wrong(d):
    "What `srisc_check` finds damaged"
    from srisc_tl.verify import KINDS, find_things
    return [o for kind, p in find_things(d) for o in KINDS[kind].look(p, 1) or []]

def again(i, writer, d, calm):
    "The same call once more: survived, detected or lost"
    code, said = child(lambda: writer.write(i, d))
    if code == 0 and (found := outcome(writer, d)) == calm: return 'survived', ''
    if code in (3, 4): return 'detected', said
    return 'lost', f'exit code {code}: {said or "another result"}'

def outcome(writer, d):
    "The result, or why it cannot be read"
    try: return writer.result(d)
    except Exception as e: return f'{type(e).__name__}: {e}'

def calm_run(i, writer):
    with place(i, writer) as d:
        assert (ended := child(lambda: writer.write(i, d))) == (0, ''), ended
        assert not wrong(d), wrong(d)
        return writer.result(d)

def killed(i, writer, n, calm):
    for kind, at in kills(i, writer, n):
        with place(i, writer) as d:
            code, said = child(lambda: writer.write(i, d), lambda: killer(d, kind, at))
            half = wrong(d)                                                              # nothing half-written has its final name
            state, why = ('lost', f'half-written: {half}') if half else again(i, writer, d, calm)
            left = [p.name for p in d.rglob('.*') if p.name.endswith(('.tmp', '.old'))] if state == 'survived' else []
            yield f'{kind} {at}', state, why or (f'left behind: {left}' if left else ''), -code in (signal.SIGKILL, signal.SIGXFSZ)

def refused(i, writer, d, calm, before, after):
    "A run that the disk does not take says so, and goes on when it does"
    half = max(1, sum(-(-p.stat().st_size//4096) for p in files_of(d)))
    code, said = child(lambda: writer.write(i, d), before)
    after()
    clear = code in (0, 3, 4) and (code == 0 or any(os.strerror(e) in said for e in (errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EACCES)) or 'full' in said or 'readonly' in said
                                   or 'free' in said or 'unable to open' in said or 'disk I/O error' in said)
    if not clear: return 'lost', f'no clear error, but {code}: {said}', bool(code)
    return *again(i, writer, d, calm), bool(code)

def full_disk(i, writer, n, calm):
    "A disk with room for a part of what is to be written; where none can be mounted, a limit on the size of files"
    disk = has_disks()
    with place(i, writer, disk) as d: blocks = child(lambda: writer.write(i, d)) and sum(-(-p.stat().st_size//4096) for p in files_of(d)); size = max(p.stat().st_size for p in files_of(d))
    for k in range(n):
        with place(i, writer, disk) as d:
            def fill():
                with open(d/'filler', 'wb', buffering=0) as f, contextlib.suppress(OSError):
                    while True: f.write(bytes(4096))
                os.truncate(d/'filler', max(0, (d/'filler').stat().st_size//4096 - blocks*k//(2*n))*4096)
            limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size*k//n, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
            state, why, failed = refused(i, writer, d, calm, fill if disk else limit, (lambda: (d/'filler').unlink()) if disk else (lambda: None))
            yield f'{k}', state, why, failed

def read_only(i, writer, n, calm):
    disk = has_disks()
    if not disk and not os.geteuid(): return
    with place(i, writer, disk) as d:
        def close(): subprocess.run(['mount', '-o', 'remount,ro', d], check=True) if disk else [os.chmod(p, 0o555) for p in (d, *d.rglob('*')) if p.is_dir()]
        def open_(): subprocess.run(['mount', '-o', 'remount,rw', d], check=True) if disk else [os.chmod(p, 0o755) for p in (d, *d.rglob('*')) if p.is_dir()]
        close()
        yield 'once', *refused(i, writer, d, calm, lambda: None, open_)

def wrong_byte(i, writer, n, calm):
    "One byte of one file is another one"
    with place(i, writer) as d:
        before = set(files_of(d))
        writer.write(i, d)
        for p in [p for p in files_of(d) if p not in before and '.cache' not in p.parts]:
            whole = p.read_bytes()
            for at in spread(min(n, BYTES), len(whole)):
                p.unlink(), p.write_bytes(whole[:at - 1] + bytes([whole[at - 1] ^ 0x55]) + whole[at:])     # a file of its own: a link would be the raw one, too
                found = wrong(d)
                state, why = ('detected', '') if found else again(i, writer, d, calm)
                yield f'{p.relative_to(d)} byte {at}', state, why, True
                p.unlink(missing_ok=True)
                p.parent.mkdir(parents=True, exist_ok=True), p.write_bytes(whole)

def vanished(i, writer, n, calm):
    "From one moment on, each touch of the drive fails; that of cleaning up, too"
    for at in spread(n, counted(i, writer)[0]):
        with place(i, writer) as d:
            seen = dict(file=0, line=0)
            def hit(kind):
                seen[kind] += 1
                if kind == 'file' and seen['file'] >= at: raise OSError(errno.EIO, os.strerror(errno.EIO), str(d/'gone'))
            code, said = child(lambda: writer.write(i, d), lambda: moments(d, hit))
            if code not in (0, 3, 4) or code and os.strerror(errno.EIO) not in said: yield f'{at}', 'lost', f'no clear error, but {code}: {said}', True
            else: yield f'{at}', *again(i, writer, d, calm), bool(code)

FAULTS = {'kill -9': killed, 'full disk': full_disk, 'read-only': read_only, 'wrong byte': wrong_byte, 'vanished drive': vanished}

def matrix(i, n, names=WRITERS, faults=FAULTS):
    "A row an attempt: writer, fault, at, state, why, hit: whether the fault came before the end"
    for name in names:
        calm, t = calm_run(i, WRITERS[name]), time.time()
        for fault in faults:
            for at, state, why, hit in FAULTS[fault](i, WRITERS[name], n, calm): yield dict(writer=name, fault=fault, at=at, state=state, why=why, hit=hit)
        print(f'{name}: {time.time() - t:.0f} s', file=sys.stderr, flush=True)

@pytest.fixture(scope='module')
def inputs(tmp_path_factory): return Inputs(tmp_path_factory.mktemp('faults'))

def judged(rows):
    df = pd.DataFrame(rows)
    print(df.groupby(['writer', 'fault', 'state']).size().unstack(fill_value=0).to_string())
    bad = df[(df['state'] == 'lost') | df['why'].str.startswith('left behind')]
    assert bad.empty, bad.to_string()
    assert df['hit'].any() and set(df['state']) <= {'survived', 'detected'}
    return df

@pytest.mark.parametrize('name', QUICK)
def test_nothing_is_lost(inputs, name): judged(matrix(inputs, 2, [name]))

def test_killed_worker(inputs, tmp_path, monkeypatch):
    "The call ends with an error that says so; nothing half-made has a name; the next call makes the same"
    from joblib.externals.loky.process_executor import TerminatedWorkerError
    from srisc_tl.build import build_corpus
    mark = str(tmp_path/'mark')
    def deadly(jobs, *where):           # within a function, so that it travels to the worker by value
        import os
        from srisc_tl.make import make_batch
        if not os.path.exists(mark):
            open(mark, 'w').close()
            os.kill(os.getpid(), 9)
        return make_batch(jobs, *where)
    monkeypatch.setattr('srisc_tl.preprocess.make_batch', deadly)
    build = lambda: build_corpus(inputs.zoo, tmp_path/'corpora', n_jobs=2, pack=())
    with pytest.raises(TerminatedWorkerError, match='unexpectedly terminated'): build()
    assert [p.name for p in (tmp_path/'corpora').iterdir()] == ['.cache']
    again = build()
    assert again.hash == inputs.corpus.hash and {k: v for k, v in tree(again.items['root'].iloc[0]).items()} == {k: v for k, v in tree(inputs.folder).items() if not k.startswith('pixels')}

def test_killed_worker_of_a_study(tmp_path):
    "Trials that were done stay; the next run does the others"
    from joblib.externals.loky.process_executor import TerminatedWorkerError
    from srisc_tl.experiment import Store, get_trials, run_study
    mark, store = str(tmp_path/'mark'), Store(tmp_path/'results.db')
    trials = get_trials('regimes', ['film'], seeds=(0,), regimes=('scratch', 'imagenet', 'sequential'))
    def run(trial):
        import os, time
        if trial.regime == 'sequential' and not os.path.exists(mark):
            time.sleep(1)
            open(mark, 'w').close()
            os.kill(os.getpid(), 9)
        return dict(error=.1, n_test=8)
    with pytest.raises(TerminatedWorkerError): run_study(trials, run, store, n_jobs=2)
    before = store.done()
    df = run_study(trials, run, store, n_jobs=2)
    assert len(df) == 3 and (df['status'] == 'ok').all() and before <= store.done() and store.check() == ([], 0)

def test_too_little_memory(inputs, tmp_path):
    "One clear line, and nothing half-made"
    from srisc_tl.commands import command, COMMANDS
    from srisc_tl.pixels import packed
    root = shutil.copytree(inputs.folder, tmp_path/'c', ignore=shutil.ignore_patterns('pixels'))
    def srisc_pack(side: int = 2048): packed(root, side)       # 16 images, 200 MB
    call = command(srisc_pack)
    COMMANDS.pop('srisc_pack')
    def small():
        used = int(Path('/proc/self/statm').read_text().split()[0])*resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (100 << 20),)*2)
        sys.stderr = open(tmp_path/'said', 'w')
    rc = child(lambda: os._exit(call.main([])), small)[0]
    assert rc == 1, (tmp_path/'said').read_text()
    assert 'too little memory' in (said := (tmp_path/'said').read_text()) and said.count('\n') == 1, said
    assert not [p for p in (root/'pixels').rglob('*') if p.suffix == '.npy'] and packed(root, 16).shape == (16, 16, 16, 3)

def test_clock_set_back(inputs, tmp_path, monkeypatch):
    "Files of the future, and a clock that runs backwards: the same is found, states are still written"
    from srisc_tl.build import build_corpus
    from srisc_tl.consolidate import load_zoo
    from srisc_tl.standardise import standardise
    shutil.copytree(inputs.root/'zoo', tmp_path/'zoo'), built(inputs, tmp_path)
    for p in tmp_path.rglob('*'): os.utime(p, (4e9, 4e9), follow_symlinks=False)
    now = [1e9]
    def back():
        now[0] -= 60
        return now[0]
    monkeypatch.setattr(time, 'time', back)
    before = tree(tmp_path, hidden=True)
    assert standardise(inputs.film, inputs.root/'raw', tmp_path/'zoo')[0]['state'] == 'unchanged'
    corpus = build_corpus(load_zoo(tmp_path/'zoo'), tmp_path/'corpora', pack=())
    assert tree(tmp_path, hidden=True) == before and corpus.hash == inputs.corpus.hash
    from srisc_tl.resume import Resumable
    written = []
    monkeypatch.setattr('srisc_tl.resume.write_state', lambda path, *args: written.append(path))
    monkeypatch.setattr(Resumable, 'before_fit', lambda self, f=Resumable.before_fit: (f(self), setattr(self, 'path', str(tmp_path/'state')))[0])
    pretrained(inputs, tmp_path)
    assert len(written) == 2                # one a step

def test_kept_image_with_a_wrong_byte(inputs, tmp_path):
    "What builds share is compared before it is used: the next corpus is not made of it"
    from srisc_tl.build import build_corpus
    first = build_corpus(inputs.zoo, tmp_path/'corpora', pack=())
    whole = tree(root := Path(first.items['root'].iloc[0]))
    shutil.rmtree(root)
    for p in files_of(tmp_path/'corpora/.cache'): p.write_bytes((b := p.read_bytes())[:300] + bytes([b[300] ^ 1]) + b[301:])
    assert tree(build_corpus(inputs.zoo, tmp_path/'corpora', pack=()).items['root'].iloc[0]) == whole

@pytest.mark.slow
@pytest.mark.parametrize('name', WRITERS)
def test_nothing_is_lost_at_twenty_moments(inputs, name): judged(matrix(inputs, 5 if name == 'model export' else 20, [name])) # an export takes half a minute

if __name__ == '__main__':
    n, names = int(sys.argv[1]) if len(sys.argv) > 1 else 4, sys.argv[2:] or WRITERS
    with tempfile.TemporaryDirectory() as tmp:
        found = pd.DataFrame(matrix(Inputs(Path(tmp)), n, names))
    odd = found[(found['state'] == 'lost') | found['why'].str.startswith('left behind')]
    print(odd.to_string(max_colwidth=150) if len(odd) else f"{found['hit'].sum():,} of {len(found):,} faults came before the end of the run")
    count = found.groupby(['writer', 'fault'])['state'].value_counts().unstack(fill_value=0).reindex(columns=['survived', 'detected', 'lost'], fill_value=0)
    cell = count.astype(str).agg(' / '.join, axis=1).unstack().reindex(index=list(names), columns=list(FAULTS)).fillna('')
    print('\n'.join(['| writer | ' + ' | '.join(cell) + ' |', '|---|' + '---|'*len(cell.columns), *(f'| {k} | ' + ' | '.join(r) + ' |' for k, r in zip(cell.index, cell.to_numpy()))]))
