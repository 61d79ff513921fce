"""`make docs`: runs the pages, makes MyST notebooks of them, and has Sphinx make the site in _docs/ of these. Nothing is fetched."""
import argparse, shutil, sys
from functools import cache
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent/'tests')]
from adapt import FILES, PARTS, adapt, docname, lead_of, relink, title_of
from execute import kept_as, run_all
from repo import NBS, ROOT, pages

@cache
def every(): return pages()
def numbered(numbers): return [p for p in every() if p.parent == NBS and p.stem[:2] in numbers.split()]
def tutorials(): return [p for p in every() if 'tutorials' in p.parts]
@cache
def known(): # {file: its name in the site}
    return {p: docname(p) for p in every()} | {ROOT/'index.ipynb': 'index'} | {ROOT/f: d for f, d in FILES.items()}

def toctree(names, *options): return '\n'.join(['```{toctree}', *(f':{o}:' for o in options), '', *names, '```'])
def part(title, about, ps):
    "The page of a part: what its pages are for"
    rows = '\n'.join(f'- {{doc}}`{title_of(p)} </{docname(p)}>`: {lead_of(p)}' for p in ps)
    return f'# {title}\n\n{about}\n\n{rows}\n\n{toctree([f"/{docname(p)}" for p in ps], "hidden")}\n'

@cache
def parts():
    "(name, title, what it is about, its pages) of each part, in the order of the data"
    res = [(f'part-{k[:2]}', t, about, numbered(k)) for k, (t, about) in PARTS.items()]
    return [('tutorials', 'Tutorials', 'From a folder of images to an answer, step by step.', tutorials())]*bool(tutorials()) + res

def sidebar():
    "(name, title, [(name, title)]) of each part, for the template"
    project = [(d, d.capitalize()) for d in FILES.values()] + [('genindex', 'All names')]
    return [(name, t, [(docname(p), title_of(p)) for p in ps]) for name, t, _, ps in parts()] + [('project', 'The project', project)]

def write_parts(src):
    "One page a part, and the project's own texts; the names of the parts"
    for name, *what in parts(): (src/f'{name}.md').write_text(part(*what), encoding='utf-8')
    for f, d in FILES.items(): (src/f'{d}.md').write_text(relink((ROOT/f).read_text(encoding='utf-8'), (ROOT/f).parent, known()), encoding='utf-8')
    (src/'project.md').write_text('# The project\n\n' + toctree([*FILES.values(), 'All names <genindex>']) + '\n', encoding='utf-8')
    return [p[0] for p in parts()] + ['project']

def landing(nb, names):
    "The front page: the picture of the data's way before the first heading, the order of reading"
    first = nb.cells[0]
    first.source = first.source.replace('\n## ', '\n```{raw} html\n:file: flow.svg\n```\n\n## ', 1)
    nb.cells[-1].source += '\n\n' + toctree(names, 'hidden')
    return nb

def write_source(src, cache):
    "All that Sphinx reads; a page that was not run is without outputs"
    import nbformat
    shutil.rmtree(src, ignore_errors=True)
    for o in ('images', 'tutorials/images'):
        if (NBS/o).is_dir(): shutil.copytree(NBS/o, src/'nbs'/o)
    src.mkdir(parents=True, exist_ok=True)
    shutil.copy2(ROOT/'docs/flow.svg', src)
    names = write_parts(src)
    for p in every():
        kept, dst = kept_as(p, cache), src/f'{docname(p)}.ipynb'
        nb = adapt(p, kept if kept.exists() else p, known())
        dst.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(landing(nb, names) if docname(p) == 'index' else nb, dst)

def build(src, out, n_jobs=2):
    "Sphinx, with every warning an error; its exit code"
    from sphinx.cmd.build import main
    return main(['-b', 'html', '-W', '--keep-going', '-q', '-j', str(n_jobs), '-c', str(ROOT/'docs'), '-d', str(src/'.doctrees'), str(src), str(out)])

def cli():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--no-run', action='store_true', help='run no page: those that were run before, and have not changed, keep their outputs')
    p.add_argument('--only', default='', help='run these pages, comma-separated starts of names: 03,14_widgets')
    p.add_argument('--jobs', type=int, default=2, help='pages that run at once')
    for name, default, what in (('out', '_docs', 'the site'), ('src', '_docsrc', 'what Sphinx reads'), ('cache', '.cache/docs', 'pages that were run')):
        p.add_argument(f'--{name}', type=Path, default=ROOT/default, help=f'folder: {what}')
    a = p.parse_args()
    wanted = [] if a.no_run else [o for o in every() if o.stem.startswith(tuple(a.only.split(',')))]
    run_all(wanted, a.cache, a.jobs)
    write_source(a.src, a.cache)
    sys.exit(build(a.src, a.out, a.jobs))

if __name__ == '__main__': cli()
