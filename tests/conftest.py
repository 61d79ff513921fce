"""Every test runs offline, with one thread and without a screen; flagged tests are skipped unless SRISC_TEST_FLAGS names the flag."""
import os, sys
from collections import Counter
from pathlib import Path
from repo import FLAGS, ROOT, flags

for k, v in dict(HF_HUB_OFFLINE=1, OMP_NUM_THREADS=1, VIPS_CONCURRENCY=1, MPLBACKEND='agg').items(): os.environ.setdefault(k, str(v))
# Tests change the working directory: a relative SRISC_DATA is meant from the repository's root.
if os.environ.get('SRISC_DATA'): os.environ['SRISC_DATA'] = str((ROOT/os.environ['SRISC_DATA']).resolve())

import pytest

def pytest_configure(config):
    for f in FLAGS: config.addinivalue_line('markers', f'{f}: runs only when SRISC_TEST_FLAGS names it')
    # What will stop working is an error in our modules, and in a page's cells (`__main__`); warnings of other people's modules are theirs to read.
    for kind in ('DeprecationWarning', 'PendingDeprecationWarning', 'FutureWarning'):
        for module in (r'srisc_tl\b', '__main__'): config.addinivalue_line('filterwarnings', f'error::{kind}:{module}')
    config.addinivalue_line('filterwarnings', r'ignore:::(torch|fastai|fastcore|fastprogress|timm|matplotlib|IPython|traitlets|nbconvert)\b')

@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    "Skip what is flagged"
    for o in items:
        off = {m.name for m in o.iter_markers()} & set(FLAGS) - flags()
        if off: o.add_marker(pytest.mark.skip(reason=f'{", ".join(off)}: not in SRISC_TEST_FLAGS'))

@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    "A file's tests stay on one worker, as they share fixtures, but the notebooks are spread. (xdist's own groups were lost, without a word, when pytest 9.2 renamed what they are kept in)"
    from xdist.scheduler import LoadScopeScheduling
    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid): return nodeid if '/test_notebooks.py::' in nodeid else nodeid.split('::')[0]
    return ByFile(config, log)

def pytest_terminal_summary(terminalreporter):
    "Count the notebooks' cells: run here, taken from the modules, skipped and why"
    props = [p for r in terminalreporter.getreports('passed') + terminalreporter.getreports('failed') for p in r.user_properties]
    n = Counter()
    for k, v in props: n[k] += v
    if n: terminalreporter.write_line('notebook cells: ' + ', '.join(f'{v} {k}' for k, v in sorted(n.items())))

def pytest_sessionfinish():
    "What a test process has covered is written now: one that waits for joblib's idle workers at its end is killed by xdist"
    coverage = sys.modules.get('coverage')
    if coverage and (measured := coverage.Coverage.current()): measured.save()

@pytest.fixture(autouse=True)
def one_thread():
    "Where torch is already there, it keeps to one thread"
    if torch := sys.modules.get('torch'): torch.set_num_threads(1)

@pytest.fixture(scope='session')
def shared_data():
    "Folder of real datasets: SRISC_DATA, or shared/data beside the checkout"
    p = Path(os.environ.get('SRISC_DATA') or ROOT.parent/'shared'/'data')
    return p if p.is_dir() else pytest.skip(f'no real datasets: {p} is not a folder (set SRISC_DATA)')

@pytest.fixture(scope='session')
def real_zoo(shared_data, tmp_path_factory, worker_id):
    "All real sets, standardised once for all workers: the zoo's folder, and the table that `srisc_import --all` prints"
    from filelock import FileLock
    from srisc_tl.standardise import standardise_all
    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == 'master' else base.parent
    with FileLock(base/'zoo.lock'): found = standardise_all(shared_data, base/'zoo', n_jobs=2)   # the second call finds all of it unchanged
    assert (found['error'] == '').all(), found[found['error'] != ''].to_string()
    return base/'zoo', found
