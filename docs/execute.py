"""Executed pages, kept by what they say and by what they import: a page runs again only where that has changed."""
import hashlib, os, re, sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'tests'))  # what the tests know of the repository
from repo import FLAGS, LIB, NBS, cells, page_id, room_of

# Figures as a notebook shows them; nothing is exported, nothing is fetched.
ENV = dict(MPLBACKEND='module://matplotlib_inline.backend_inline', IN_TEST='1', HF_HUB_OFFLINE='1', OMP_NUM_THREADS='1', VIPS_CONCURRENCY='1', PYTHONPATH=str(ROOT))
# Figures made without pyplot are shown as pictures, if need be after the cell that named them: pages assert on them, readers want to see them.
# A widget needs a kernel: beside it stands what it shows.
SHOW = '''def _show_figures():
    from IPython.core.pylabtools import select_figure_formats
    from IPython.display import HTML
    from matplotlib.figure import Figure
    ip, seen = get_ipython(), []
    select_figure_formats(ip, {'png'})
    def texts(w): return ([w.value] if type(w).__name__ == 'HTML' else []) + [t for c in getattr(w, 'children', ()) for t in texts(c)]
    def after(result):
        shown = result.result
        if hasattr(shown, 'comm'): display(HTML(''.join(texts(shown))))
        for v in list(ip.user_ns.values()):
            if not isinstance(v, Figure) or any(v is o for o in seen): continue
            seen.append(v)
            if not hasattr(v, 'number') and v is not shown: display(v)  # pyplot numbers its own, and shows them
    ip.events.register('post_run_cell', after)
_show_figures(); del _show_figures'''
off = lambda directives: [f for f in FLAGS if f in directives]

text_of = cache(lambda p: p.read_text(encoding='utf-8'))
def imports(text): return {r for r in re.findall(r'^\s*(?:from|import) srisc_tl\.(\w+)', text, re.M) if (LIB/f'{r}.py').exists()}
@cache
def below(room): # all rooms that a room stands on, itself too
    return {room}.union(*map(below, imports(text_of(LIB/f'{room}.py')) - {room}))

def kept_as(page, cache):
    "Where the executed page is kept: its name and a hash of its code, of all rooms below it and of the declarations"
    code = '\n'.join(c['source'] for c in cells(page, 'code'))
    rooms = set().union(*map(below, imports(code) | ({room_of(page)} - {None})))
    texts = [SHOW, code, *(text_of(LIB/f'{r}.py') for r in sorted(rooms)), text_of(LIB/'datasets.toml')]
    return cache/f'{page_id(page).replace("/", "-")}-{hashlib.sha256("".join(texts).encode()).hexdigest()[:12]}.ipynb'

def run(page, cache):
    "The page with the outputs of its cells, flagged ones left out; kept under its final name when whole"
    import nbformat
    from nbclient import NotebookClient
    dst = kept_as(page, cache)
    if dst.exists(): return dst
    os.environ.update(ENV)
    nb = nbformat.read(page, as_version=4)
    for c, told in zip(nb.cells, cells(page)):
        if c.cell_type == 'code' and (off(told['directives']) or told['directives'].get('eval') == 'false'): c.metadata['tags'] = ['skip-execution']
    nb.cells.insert(0, nbformat.v4.new_code_cell(SHOW))
    NotebookClient(nb, timeout=900, kernel_name='python3', resources=dict(metadata=dict(path=str(page.parent if NBS in page.parents else NBS)))).execute()
    del nb.cells[0]
    failed = [o.evalue for c in nb.cells for o in c.get('outputs', []) if o.output_type == 'error']
    if failed: raise RuntimeError(f'{page.name}: {failed[0]}')
    cache.mkdir(parents=True, exist_ok=True)
    for old in cache.glob(f'{dst.stem[:-12]}*.ipynb'):
        if len(old.stem) == len(dst.stem): old.unlink()
    part = dst.with_suffix('.part')
    nbformat.write(nb, part)
    return part.rename(dst)

def run_all(pages, cache, n_jobs=1):
    "Every page's executed notebook, several at a time"
    from joblib import Parallel, delayed
    from tqdm import tqdm
    return list(tqdm(Parallel(n_jobs=n_jobs, return_as='generator')(delayed(run)(p, cache) for p in pages), total=len(pages), desc='pages', unit='page'))
