"""Modules, notebooks, README and metadata say the same."""
import difflib, importlib, os, re, shutil, subprocess, sys
from pathlib import Path
import pytest
from readme import readme_text
from repo import LIB, ROOT, commands, settings

KEPT = ('srisc_tl', 'nbs', 'index.ipynb', 'pyproject.toml', 'settings.ini', 'setup.py', 'README.md')
JUNK = shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints', '*.pyc')

def texts(root):
    "{path: text} of what nbdev may rewrite"
    ps = [*(root/'srisc_tl').rglob('*.py'), *(root/'nbs').rglob('*.ipynb'), *root.glob('*.ipynb'), root/'pyproject.toml']
    return {p.relative_to(root).as_posix(): p.read_text(encoding='utf-8') for p in ps if '.ipynb_checkpoints' not in p.parts}

@pytest.fixture(scope='module')
def again(tmp_path_factory):
    "A copy whose modules were removed, exported again and cleaned; so a module without a notebook shows too"
    root = tmp_path_factory.mktemp('again')/'srisc_tl'
    root.mkdir()
    for o in KEPT:
        if (ROOT/o).is_dir(): shutil.copytree(ROOT/o, root/o, symlinks=True, ignore=JUNK)
        elif (ROOT/o).exists(): shutil.copy2(ROOT/o, root/o)
    for p in (root/'srisc_tl').rglob('*.py'):
        if p.name != '__init__.py': p.unlink()
    env = {k: v for k, v in os.environ.items() if k != 'IN_TEST'}  # nbdev-export does nothing where it is set
    for cmd in ('nbdev-export', 'nbdev-clean'):
        subprocess.run([str(Path(sys.executable).parent/cmd)], cwd=root, env=env, check=True, timeout=300)
    return texts(root)

def changes(name, old, new):
    "First lines of a unified diff of one file"
    return list(difflib.unified_diff(old.splitlines(), new.splitlines(), f'{name} as it is', f'{name} as exported', lineterm='', n=1))[:30]

def test_export_changes_nothing(again):
    here = texts(ROOT)
    diffs = [d for k in sorted(here.keys() | again.keys()) for d in changes(k, here.get(k, ''), again.get(k, ''))]
    assert not diffs, 'notebooks and modules differ (run `make nbs`; a module without a notebook is to go):\n' + '\n'.join(diffs)

def test_version():
    said = re.search(r'^__version__ = "(.+)"', (LIB/'__init__.py').read_text(), re.M)[1]
    assert said == settings()['version'], 'srisc_tl/__init__.py and settings.ini name different versions'

def test_readme():
    assert (ROOT/'README.md').read_text(encoding='utf-8') == readme_text(), 'README.md is not what index.ipynb gives: run `make readme`'

@pytest.mark.parametrize('name', commands())
def test_command_is_a_function(name):
    mod, fn = commands()[name].split(':')
    assert callable(getattr(importlib.import_module(mod), fn)) and fn == name
