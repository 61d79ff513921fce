"""The package as it is published: built, checked, and installed where no checkout is near."""
import os, shutil, subprocess, sys, sysconfig, tarfile, venv, zipfile
from email import message_from_bytes
from pathlib import Path
import pytest
from repo import LIB, ROOT, commands, settings

def run(*cmd, cwd, **env):
    "What a command says; its output where it fails"
    clean = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'PYTHONHOME')} | env
    got = subprocess.run([str(c) for c in cmd], cwd=cwd, env=clean, capture_output=True, text=True, timeout=300)
    assert got.returncode == 0, f'{cmd}\n{got.stdout[-3000:]}\n{got.stderr[-3000:]}'
    return got.stdout

@pytest.fixture(scope='module')
def built(tmp_path_factory):
    "(wheel, sdist) of a copy, made without the internet; the wheel from the sdist"
    pytest.importorskip('build'), pytest.importorskip('setuptools')
    tmp = tmp_path_factory.mktemp('wheel')
    junk = shutil.ignore_patterns('.*', '__pycache__', '*.egg-info', 'build', 'dist', 'demo', '_*docs*', '_run', '_proc')
    shutil.copytree(ROOT, tmp/'src', symlinks=True, ignore=lambda d, names: [n for n in junk(d, names) if n not in ('__init__.py', '_modidx.py')])
    run(sys.executable, '-m', 'build', '--no-isolation', '-o', tmp/'dist', '.', cwd=tmp/'src')
    [wheel], [sdist] = (tmp/'dist').glob('*.whl'), (tmp/'dist').glob('*.tar.gz')
    return wheel, sdist

def test_holds_the_package_and_nothing_else(built):
    wheel, sdist = built
    with zipfile.ZipFile(wheel) as z: names = {n for n in z.namelist() if '.dist-info/' not in n}
    here = {p.relative_to(ROOT).as_posix() for p in LIB.iterdir() if p.is_file() and p.suffix != '.pyc'}
    assert names == here and {'srisc_tl/py.typed', 'srisc_tl/datasets.toml', 'srisc_tl/_modidx.py'} < names
    with tarfile.open(sdist) as t: top = {n.split('/')[1] for n in t.getnames() if '/' in n}
    assert {'settings.ini', 'setup.py', 'README.md', 'LICENSE', 'srisc_tl'} <= top and not top & {'tests', 'nbs', 'benchmarks'}

def test_twine(built):
    pytest.importorskip('twine')
    assert 'PASSED' in run(sys.executable, '-m', 'twine', 'check', '--strict', *built, cwd=built[0].parent, NO_COLOR='1')

def test_metadata(built):
    "What settings.ini says is what pip reads: version, requirements, an extra a line of its own, commands"
    with zipfile.ZipFile(built[0]) as z:
        of = lambda name: z.read(next(n for n in z.namelist() if n.endswith(f'.dist-info/{name}')))
        meta, entry = message_from_bytes(of('METADATA')), of('entry_points.txt').decode()
        assert any('licenses/LICENSE' in n for n in z.namelist())
    extras = {k.removesuffix('_requirements') for k in settings() if k.endswith('_requirements')}
    assert meta['Version'] == settings()['version'] and {e.replace('-', '_') for e in meta.get_all('Provides-Extra')} == extras
    plain = [r for r in meta.get_all('Requires-Dist') if 'extra ==' not in r]
    assert len(plain) == len([o for o in settings()['requirements'].splitlines() if o.strip()]) and all(f'{c} = ' in entry for c in commands())

def test_installs_and_runs(built, tmp_path):
    "In a fresh environment that borrows this one's libraries: modules, data, commands"
    venv.create(tmp_path/'v', with_pip=False)
    py = tmp_path/'v/bin/python'
    run(sys.executable, '-m', 'pip', '--python', py, 'install', '-q', '--no-deps', '--no-index', '--no-compile', built[0], cwd=tmp_path)
    [site] = (tmp_path/'v/lib').glob('python*/site-packages')
    (site/'borrowed.pth').write_text(sysconfig.get_paths()['purelib'] + '\n')
    code = 'import srisc_tl.cli, srisc_tl.convention as c; print(srisc_tl.__file__, len(c.DATASETS))'
    file, n = run(py, '-c', code, cwd=tmp_path).split()
    assert Path(file).is_relative_to(tmp_path/'v') and int(n) > 40 and (site/'srisc_tl/py.typed').is_file()
    for name in commands(): assert (tmp_path/'v/bin'/name).is_file()
    assert 'usage: srisc_build' in run(tmp_path/'v/bin/srisc_build', '--help', cwd=tmp_path)
