"""House rules that a program can read: arrows point down, functions stay short, pages say what they are for and show what they export."""
import ast, re
import pytest
from repo import LIB, cells, exported, page_id, pages, room_of, rooms

MODULES = [p for p in sorted(LIB.glob('*.py')) if p.name not in ('__init__.py', '_modidx.py')]
tree = lambda p: ast.parse(p.read_text(encoding='utf-8'))

def own_imports(t):
    "(room, name) of each import of an own room; a name of None is an import of the module itself"
    for n in ast.walk(t):
        if isinstance(n, ast.Import): yield from ((a.name.split('.')[1], None) for a in n.names if a.name.startswith('srisc_tl.'))
        if not isinstance(n, ast.ImportFrom): continue
        mod = f'srisc_tl.{n.module or ""}'.rstrip('.') if n.level else n.module
        if mod == 'srisc_tl': yield from ((a.name, None) for a in n.names if a.name in rooms())
        elif mod.startswith('srisc_tl.'): yield from ((mod.split('.')[1], a.name) for a in n.names)

@pytest.mark.parametrize('path', MODULES, ids=lambda p: p.stem)
def test_arrows_point_down(path):
    order = rooms()
    assert path.stem in order, f'no notebook exports {path.name}'
    arrows = list(own_imports(tree(path)))
    up = sorted({r for r, _ in arrows if r not in order or order[r] >= order[path.stem]})
    assert not up, f'{path.name} imports a room that is not lower: {", ".join(up)}'
    vague = sorted({f'{r} ({name or "the module"})' for r, name in arrows if name in (None, '*')})
    assert not vague, f'{path.name} imports own rooms other than by name: {", ".join(vague)}'

@pytest.mark.parametrize('path', MODULES, ids=lambda p: p.stem)
def test_sizes(path):
    fns = [n for n in ast.walk(tree(path)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    long = [f'{n.name} ({n.end_lineno - n.lineno + 1})' for n in fns if n.end_lineno - n.lineno >= 25]
    assert not long, f'{path.name}: functions over 25 lines: {", ".join(long)}'
    lines = len(path.read_text(encoding='utf-8').splitlines())
    assert lines <= 300, f'{path.name} has {lines} lines: a room aims at 250 and stops at 300'

@pytest.mark.parametrize('page', pages(), ids=page_id)
def test_title(page):
    md = cells(page, 'markdown')
    assert md and re.match(r'# \S', md[0]['source']), f'{page.name}: the first text is no "# Title"'
    assert re.search(r'^> \S', md[0]['source'], re.M), f'{page.name}: no "> what it is for" under its title'

def definitions(page):
    "(names, the visible code that follows up to the next definition) of each exported definition"
    names = lambda c: re.findall(r'^(?:def|class)\s+([A-Za-z]\w*)', c['source'], re.M) if exported(c) else []
    code = cells(page, 'code')
    at = [i for i, c in enumerate(code) if names(c)] + [len(code)]
    for i, j in zip(at, at[1:]):
        yield names(code[i]), '\n'.join(c['source'] for c in code[i+1:j] if not exported(c) and c['directives'].get('eval') != 'false')

@pytest.mark.parametrize('page', [p for p in pages() if room_of(p)], ids=page_id)
def test_definitions_are_shown(page):
    unused = [names[0] for names, text in definitions(page) if not any(re.search(rf'\b{n}\b', text) for n in names)]
    assert not unused, f'{page.name}: not used in the cells right after their definition: {", ".join(unused)}'

def test_definitions_are_asserted():
    defs = [(f'{p.stem}.{names[0]}', text) for p in pages() for names, text in definitions(p)]
    bare = [name for name, text in defs if not re.search(r'\bassert\b|\btest_\w+\(|expect_fail', text)]
    assert 3*len(bare) <= len(defs), f'less than two thirds asserted; not: {", ".join(bare)}'
