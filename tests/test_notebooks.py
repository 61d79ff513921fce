"""Each page against the installed modules, and in the order in which a person runs it.

nbdev-test runs the exported cells inside the notebook, so a module that was exported badly can pass there. test_installed leaves those
cells out: their names come from `srisc_tl.<module>`, and the rest of the page has to work with them. What only nbdev-test would notice,
a name used above its definition, test_order finds without running anything; so nbdev-test itself runs for pages without a module, for one
with a module, and for all with the flag `slow`. Many pages run in one process, which shares the slow imports and measures coverage; each
page gets its modules freshly imported, since pages may fill registries."""
import gc, importlib, os, random, signal, symtable, sys, traceback
from collections import Counter
from pathlib import Path
import pytest
from repo import FLAGS, LIB, NBS, ROOT, cells, exported, flags, page_id, pages, room_of

def own_modules(): return {k: m for k, m in sys.modules.items() if k.split('.')[0] == 'srisc_tl'}

@pytest.fixture
def fresh(monkeypatch):
    "Modules of srisc_tl imported anew, and everything that a page may change in the process put back"
    import numpy as np
    from matplotlib import pyplot as plt
    main, env, mods, seeds = sys.modules['__main__'], dict(os.environ), own_modules(), (random.getstate(), np.random.get_state())
    sigint = signal.getsignal(signal.SIGINT)  # nbdev-test puts a handler of its own
    for k in mods: del sys.modules[k]
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv('PYTHONPATH', str(ROOT))  # for the processes that a page starts
    monkeypatch.setenv('IN_TEST', '1')  # a page's last cell may call nbdev_export, which stops at this
    yield
    for k in own_modules(): del sys.modules[k]
    sys.modules.update(mods, __main__=main)
    plt.close('all'); gc.collect()
    signal.signal(signal.SIGINT, sigint)
    random.setstate(seeds[0]); np.random.set_state(seeds[1])
    os.environ.clear(); os.environ.update(env)

def module_names(room):
    "All globals of the installed room, what it imports and underscored names included"
    mod = importlib.import_module(f'srisc_tl.{room}')
    assert Path(mod.__file__).is_relative_to(LIB), f'srisc_tl.{room} comes from {mod.__file__}, not from this checkout'
    return {k: v for k, v in vars(mod).items() if not k.startswith('__')}

def why_not(cell):
    "Reason to leave a code cell out, or None"
    d = cell['directives']
    off = [f for f in FLAGS if f in d and f not in flags()]
    if d.get('eval') == 'false': return 'not to be evaluated'
    return f'skipped ({off[0]})' if off else 'from the modules' if exported(cell) else None

def failure(page, i, src, exc):
    "The failing cell and its traceback from the cell on"
    tb = traceback.extract_tb(exc.__traceback__)
    own = [f for f in tb if not any(o in f.filename for o in ('/IPython/', '/execnb/', '/fastcore/nbio'))] or tb
    return f'{page_id(page)}, cell {i}:\n\n{src}\n\n{"".join(traceback.format_list(own))}{"".join(traceback.format_exception_only(exc))}'

def run_page(page, names):
    "Run the cells that the page does not export, in order, in one shell; counts by what became of a cell"
    from execnb.shell import CaptureShell
    from matplotlib import pyplot as plt
    shell, n = CaptureShell(mpl_format=None), Counter()
    shell.user_ns.update(names)
    try:
        for i, c in enumerate(cells(page)):
            if c['cell_type'] != 'code' or not c['source'].strip(): continue
            why = why_not(c)
            n[why or 'run'] += 1
            if why: continue
            shell.run(c['source'])
            plt.close('all')
            if shell.exc: pytest.fail(failure(page, i, c['source'], shell.exc), pytrace=False)
    finally:
        shell.user_ns.clear(); shell.close()
    return n

@pytest.fixture
def nothing_left():
    "A page writes to temporary folders only"
    files = lambda: {p for p in NBS.rglob('*') if '__pycache__' not in p.parts}
    before = files()
    yield
    left = [p.relative_to(ROOT).as_posix() for p in sorted(files() - before)]
    assert not left, f'files left behind: {", ".join(left)}'

@pytest.mark.parametrize('page', pages(), ids=page_id)
def test_installed(page, fresh, nothing_left, monkeypatch, record_property):
    monkeypatch.chdir(page.parent if NBS in page.parents else NBS)
    room = room_of(page)
    for k, v in run_page(page, module_names(room) if room else {}).items(): record_property(k, v)

def names_of(src):
    "Names of the page that a cell binds, and that it needs; magics and shell lines left out"
    lines = [o for o in src.splitlines() if not o.lstrip().startswith(('%', '!'))]
    top = symtable.symtable('\n'.join(lines), 'cell', 'exec')
    inner = lambda t: [c for k in t.get_children() for c in (k, *inner(k))]
    bound = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    return bound, {s.get_name() for t in (top, *inner(top)) for s in t.get_symbols() if s.is_referenced() and (t is top or s.is_global())}

def test_names_of():
    bound, needed = names_of('%matplotlib inline\nfrom os import path\na = f(b)\ndef g(c, d=e): return [c + late(k) for k in d]')
    assert bound == {'path', 'a', 'g'} and needed == {'f', 'b', 'e', 'late'}

@pytest.mark.parametrize('page', [p for p in pages() if room_of(p)], ids=page_id)
def test_order(page):
    "What a person runs from top to bottom finds each name above: with the modules' names at hand, test_installed would not notice"
    code = [c for c in cells(page, 'code') if c['directives'].get('eval') != 'false']
    own, there = set().union(*(names_of(c['source'])[0] for c in code if exported(c))), set()
    for c in code:
        bound, needed = names_of(c['source'])
        late = (needed & own) - there - bound
        assert exported(c) or not late, f'{page_id(page)}: {sorted(late)} used before it is defined, in the cell\n{c["source"]}'
        there |= bound

@pytest.mark.parametrize('page', [pytest.param(p, marks=pytest.mark.slow if room_of(p) and p.stem != '00_convention' else ()) for p in pages()], ids=page_id)
def test_nbdev(page, fresh, nothing_left, monkeypatch):
    from nbdev.test import nbdev_test
    monkeypatch.chdir(ROOT)
    try: nbdev_test(path=str(page), flags=' '.join(flags()), n_workers=0)
    except SystemExit as e: failed = e.code
    else: failed = 0
    if failed: pytest.fail(f'nbdev-test fails on {page_id(page)}; the cell is under "Captured stderr"', pytrace=False)
