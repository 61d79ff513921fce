"""Executed pages, kept by what they say and by what they import: a page runs again only where that has changed."""
import hashlib, os, re, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'tests'))  # what the tests know of the repository
from repo import FLAGS, LIB, NBS, cells, page_id, room_of

CACHE = ROOT/'.cache/docs'
# Figures as a notebook shows them; nothing is exported, nothing is fetched.
ENV = dict(MPLBACKEND='module://matplotlib_inline.backend_inline', IN_TEST='1', HF_HUB_OFFLINE='1', OMP_NUM_THREADS='1', VIPS_CONCURRENCY='1', PYTHONPATH=str(ROOT))
off = lambda directives: [f for f in FLAGS if f in directives]

def below(text, seen):
    "Rooms that a source imports, and those that they import"
    for room in re.findall(r'^\s*(?:from|import) srisc_tl\.(\w+)', text, re.M):
        if room in seen or not (LIB/f'{room}.py').exists(): continue
        seen.add(room)
        below((LIB/f'{room}.py').read_text(encoding='utf-8'), seen)
    return seen

def kept_as(page):
    "Where the executed page is kept: its name and a hash of its code, of all rooms below it and of the declarations"
    code = '\n'.join(c['source'] for c in cells(page, 'code'))
    rooms = sorted(below(code, set()) | ({room_of(page)} - {None}))
    if any(r in rooms for r in ('cli', 'chain')): rooms = sorted(p.stem for p in LIB.glob('*.py'))  # these import inside functions, by name
    texts = [code, *((LIB/f'{r}.py').read_text(encoding='utf-8') for r in rooms), (LIB/'datasets.toml').read_text(encoding='utf-8')]
    return CACHE/f'{page_id(page).replace("/", "-")}-{hashlib.sha256("".join(texts).encode()).hexdigest()[:12]}.ipynb'

def run(page):
    "The page with the outputs of its cells, flagged ones left out; kept under its final name when whole"
    import nbformat
    from nbclient import NotebookClient
    dst = kept_as(page)
    if dst.exists(): return dst
    os.environ.update(ENV)
    nb = nbformat.read(page, as_version=4)
    for c, told in zip(nb.cells, cells(page)):
        if c.cell_type == 'code' and (off(told['directives']) or told['directives'].get('eval') == 'false'): c.metadata['tags'] = ['skip-execution']
    NotebookClient(nb, timeout=900, kernel_name='python3', resources=dict(metadata=dict(path=str(page.parent if NBS in page.parents else NBS)))).execute()
    CACHE.mkdir(parents=True, exist_ok=True)
    for old in CACHE.glob(f'{dst.stem[:-12]}*.ipynb'):
        if len(old.stem) == len(dst.stem): old.unlink()
    part = dst.with_suffix('.part')
    nbformat.write(nb, part)
    return part.rename(dst)

def run_all(pages, n_jobs=1):
    "Every page's executed notebook, several at a time"
    from joblib import Parallel, delayed
    from tqdm import tqdm
    return list(tqdm(Parallel(n_jobs=n_jobs, return_as='generator')(delayed(run)(p) for p in pages), total=len(pages), desc='pages', unit='page'))
