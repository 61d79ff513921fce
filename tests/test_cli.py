"""The commands from outside: quick help, and one line that names the path where a folder is missing."""
import os, re, resource, subprocess, sys
import pytest
from repo import ROOT, commands

HEAVY = r'\|\s+(torch|torchvision|fastai|timm)$'  # 6 s of imports: help must not wait for them
WRAPPER = 'import sys\nfrom {mod} import {fn}\nif __name__ == "__main__": sys.exit({fn}())\n'  # what pip installs
# One call a command, complete but for a MISSING folder or file; NEW is what it would write.
BAD = dict(
    srisc_demo='--data MISSING --out NEW',
    srisc_import='MISSING --name n --industry a/b --zoo NEW',
    srisc_check='MISSING',
    srisc_build='--zoo MISSING --out NEW',
    srisc_pretrain='--corpus MISSING --regime imagenet,srisc --out NEW',
    srisc_select='--ckpt MISSING --corpus MISSING --target MISSING --selector ngiam --out NEW',
    srisc_finetune='--ckpt MISSING --target MISSING',
    srisc_export='--model MISSING --out NEW',
    srisc_run='regimes --zoo MISSING --store NEW',
    srisc_report='--store MISSING --out NEW',
    srisc_recommend='--store NEW --target MISSING --out NEW')

@pytest.fixture
def call(tmp_path):
    "Run a command as its installed script does; returns its CompletedProcess"
    def _call(name, *args, opts=()):
        mod, fn = commands()[name].split(':')
        script = tmp_path/name
        script.write_text(WRAPPER.format(mod=mod, fn=fn))
        return subprocess.run([sys.executable, *opts, str(script), *args], cwd=tmp_path, timeout=300, capture_output=True, text=True,
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

@pytest.mark.parametrize('name', commands())
def test_missing_folder(name, call, tmp_path):
    assert name in BAD, f'add a call of {name} with a missing folder to BAD'
    missing, new = tmp_path/'not there'/'at all', tmp_path/'new'
    r = call(name, *[{'MISSING': str(missing), 'NEW': str(new)}.get(o, o) for o in BAD[name].split()])
    lines = [o for o in r.stderr.splitlines() if str(missing) in o]
    assert r.returncode in (1, 2), f'exit code {r.returncode}\n{r.stdout}\n{r.stderr}'
    assert 'Traceback' not in r.stderr and len(lines) == 1 and not missing.exists(), f'wanted one line naming {missing}:\n{r.stderr}'
    assert not new.exists(), f'{name} left {new.name} behind'
