"""Killed at any moment and called again: the commands go on, and the corpus is the one that an undisturbed run makes."""
import hashlib, os, random, shutil, signal, subprocess, sys, time
from pathlib import Path
import pytest
from repo import ROOT, commands, flags

KILLS = 6 if 'slow' in flags() else 2 # SRISC_KILLS=20 for more
SETS = ('AC-Piston-Checks', 'KolektorSDD_Yolov8', 'Magnetic-tile-defect-datasets', 'electronic_components_bmp', 'elpv-dataset')
SCRIPT = 'import sys\nfrom {0} import {1}\nif __name__ == "__main__": sys.exit({1}())\n' # what pip installs

def start(folder, name, *args):
    "A command in a process group of its own, its worker processes with it"
    script = folder/f'{name}.py'
    script.write_text(SCRIPT.format(*commands()[name].split(':')))
    return subprocess.Popen([sys.executable, str(script), *map(str, args)], env={**os.environ, 'PYTHONPATH': str(ROOT)},
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)

def steps(raw, out): return [('srisc_import', '--all', raw, '--zoo', out/'zoo'), ('srisc_build', '--zoo', out/'zoo', '--out', out/'corpora', '--cap', 30)]

def tree_hash(root):
    "Names and bytes of all images, masks and tables below a corpus; its folder's name holds the hash of the recipe"
    files = sorted(p for p in root.rglob('*') if p.is_file() and 'pixels' not in p.parts)
    return hashlib.sha256(b''.join(p.relative_to(root.parent).as_posix().encode() + p.read_bytes() for p in files)).hexdigest()

def corpus_of(out):
    found = [p for p in (out/'corpora').iterdir() if (p/'corpus.json').is_file() and not p.name.startswith('.')]
    assert len(found) == 1, found
    return found[0]

@pytest.fixture(scope='module')
def raw(tmp_path_factory, shared_data):
    "A folder of small real sets"
    out = tmp_path_factory.mktemp('raw')
    for name in SETS: os.symlink(Path(shared_data, name), out/name)
    return out

def test_killed_and_resumed(raw, tmp_path):
    kills, rng, t = int(os.environ.get('SRISC_KILLS', KILLS)), random.Random(0), []
    for step in steps(raw, tmp_path/'calm'):
        t0 = time.time()
        p = start(tmp_path, *step)
        said = p.communicate(timeout=600)[0]
        assert p.returncode == 0, said
        t.append(time.time() - t0)
    done = 0
    while done < kills:                                             # again and again until enough were killed amid their work
        shutil.rmtree(tmp_path/'wild', ignore_errors=True)
        for step, took in zip(steps(raw, tmp_path/'wild'), t):
            while True:
                p = start(tmp_path, *step)
                try: said = p.communicate(timeout=rng.uniform(.2, 1)*took if done < kills else 600)[0]
                except subprocess.TimeoutExpired:
                    os.killpg(p.pid, signal.SIGKILL)
                    p.communicate()
                    done += 1
                    continue
                assert p.returncode == 0, said
                break
    assert corpus_of(tmp_path/'wild').name == corpus_of(tmp_path/'calm').name
    assert tree_hash(corpus_of(tmp_path/'wild')) == tree_hash(corpus_of(tmp_path/'calm'))
    left = [p.name for d in ('zoo', 'corpora') for p in (tmp_path/'wild'/d).iterdir() if p.name.endswith(('.tmp', '.old'))]
    assert not left, f'left behind by killed runs: {left}'
