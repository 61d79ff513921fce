"""What a module offers, read from its text alone: signatures, docments, methods, constants; as MyST directives of Sphinx's Python domain."""
import ast, copy, io, json, re, tokenize
from functools import cache
from repo import LIB, rooms

DEFS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
LONG = 80   # characters of a value that stands beside its name; a longer one stands below it
LINES = 40  # of a longer value, at most
PROPER = ('transferability', 'distances', 'importance', 'consensus')  # rooms whose short names (`leep`, `ngiam`) mean the same everywhere

@cache
def source(room): return (LIB/f'{room}.py').read_text(encoding='utf-8')

@cache
def remarks(room):
    "{line: (comment, whether it has the line for itself)}"
    toks = tokenize.generate_tokens(io.StringIO(source(room)).readline)
    return {t.start[0]: (re.sub(r'^#+\s?', '', t.string).strip(), not t.line[:t.start[1]].strip()) for t in toks if t.type == tokenize.COMMENT and t.string[:4] != '# %%'}

@cache
def body(room): return ast.parse(source(room)).body

def bound(node):
    "Names that a statement of a module binds"
    if isinstance(node, DEFS): return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]

@cache
def public(room):
    "Names of a module's `__all__`"
    return next((ast.literal_eval(n.value) for n in body(room) if bound(n) == ['__all__']), [])

@cache
def where():
    "{public name: the rooms that define it, in reading order}, what a room only passes on left out"
    res = {}
    for room in rooms():
        made = {n for o in body(room) for n in bound(o)}
        for name in set(public(room)) & made: res.setdefault(name, []).append(room)
    return res

@cache
def imported(room):
    "{name: the room that it was imported from, or this room}"
    own = {a.asname or a.name: n.module.split('.')[1] for n in body(room) if isinstance(n, ast.ImportFrom) and (n.module or '').startswith('srisc_tl.') for a in n.names}
    return own | {name: room for name in public(room)}

def home(name, room=None, seen={}):
    "The room that a name means where it is read: what that page defines or imports (`seen` too), or the only one; a common word means none from afar"
    rs, scope = where().get(name, []), (imported(room) if room else {}) | seen
    if scope.get(name) in rs: return scope[name]
    afar = not re.fullmatch('[a-z]+', name) or rs in ([name], *([r] for r in PROPER))
    return rs[0] if len(rs) == 1 and afar else None

class Full(ast.NodeTransformer):
    "Own classes of an annotation by their full names, so that they become links"
    def __init__(self, room): self.room = room
    def visit_Name(self, node):
        at = home(node.id, self.room)
        return ast.Name(f'srisc_tl.{at}.{node.id}') if at else node

def written(node): return ast.unparse(node) if node else ''

def remark(room, node, after):
    "The comment on a node's last line, else those on lines of their own right above it"
    said = remarks(room)
    if node.end_lineno in said and not said[node.end_lineno][1]: return said[node.end_lineno][0]
    above, i = [], node.lineno - 1
    while i > after and i in said and said[i][1]: above, i = [said[i][0], *above], i - 1
    return ' '.join(above)

def ending(room, fn):
    "The line on which a function's signature ends"
    lines, depth = source(room).splitlines(True)[fn.lineno - 1:], 0
    for t in tokenize.generate_tokens(iter(lines).__next__):
        depth += (t.string in '([{') - (t.string in ')]}') if t.type == tokenize.OP else 0
        if t.type == tokenize.OP and t.string == ':' and not depth: return fn.lineno + t.start[0] - 1

def given(fn):
    "(name with its stars, node, default) of each parameter"
    a = fn.args
    plain = a.posonlyargs + a.args
    res = [(p.arg, p, d) for p, d in zip(plain, [None]*(len(plain) - len(a.defaults)) + a.defaults)]
    res += [(f'*{a.vararg.arg}', a.vararg, None)] if a.vararg else []
    res += [(p.arg, p, d) for p, d in zip(a.kwonlyargs, a.kw_defaults)]
    return res + ([(f'**{a.kwarg.arg}', a.kwarg, None)] if a.kwarg else [])

def parameters(room, fn):
    "(name, annotation, default, remark) of each parameter; of several on one line the last has the remark, on the signature's last line the result has it"
    ps, end = given(fn), ending(room, fn)
    last = {(d or p).end_lineno: name for name, p, d in ps}
    res = [(name, p.annotation, d, remark(room, d or p, fn.lineno) if last[(d or p).end_lineno] == name and (d or p).end_lineno < end else '') for name, p, d in ps]
    lent = [ast.unparse(o.args[0]) for o in fn.decorator_list if isinstance(o, ast.Call) and ast.unparse(o.func) == 'delegates']
    return [p for p in res if not (lent and p[0][:2] == '**')] + [p for o in lent for p in parameters(room, found(room, o))]

def found(room, name): return next((n for n in body(room) if isinstance(n, DEFS) and n.name == name), None)
def decorated(node): return [ast.unparse(o) for o in node.decorator_list]
def bases(room, cls): # own classes that it stands on: (room, class)
    names = [(home(ast.unparse(b), room), ast.unparse(b)) for b in cls.bases]
    return [(r, found(r, n)) for r, n in names if r]

def taken(room, cls):
    "The parameters of a class: of its `__init__`, its fields, or those of what it stands on"
    init = next((n for n in cls.body if isinstance(n, DEFS) and n.name == '__init__'), None)
    if init: return parameters(room, init)[1:]
    above = [p for r, b in bases(room, cls) for p in taken(r, b)]
    if not any(o.startswith('dataclass') for o in decorated(cls)) and 'NamedTuple' not in map(ast.unparse, cls.bases): return above
    mine = [(n.target.id, n.annotation, n.value, remark(room, n, cls.lineno)) for n in cls.body if isinstance(n, ast.AnnAssign)]
    return [p for p in above if p[0] not in [m[0] for m in mine]] + mine

def full(room, node): return written(Full(room).visit(copy.deepcopy(node))) if node else ''

def signature(room, ps, returns=None):
    "Parameters in brackets, own classes by their full names"
    one = lambda name, kind, d: name + (f': {full(room, kind)}' if kind else '') + (f'{" = " if kind else "="}{written(d)}' if d else '')
    bare = [one(*p[:3]) for p in ps]
    return f'({", ".join(bare)})' + (f' -> {full(room, returns)}' if returns else '')

def link(text, room=None, seen={}):
    "Public names in backticks become links to their entries; code blocks stay as they are"
    def one(m):
        at = home(m[2].split('.')[0], room, seen)
        return f'{{py:obj}}`{m[1]} <srisc_tl.{at}.{m[2].split(".")[0]}>`' if at else m[0]
    parts = re.split(r'(^ *```.*?^ *```[^\n]*$)', text or '', flags=re.M | re.S)
    return ''.join(p if i % 2 else re.sub(r'(?<![`\w}])`(([A-Za-z]\w*(?:\.\w+)?)(?:\([^`|<>\n]*\))?)`(?!`)', one, p) for i, p in enumerate(parts))

def plain(text, room):
    "A comment or docstring as Markdown that shows it as it is, with links"
    return link(re.sub(r'`[^`]*`|[$*<]', lambda m: m[0] if len(m[0]) > 1 else '\\' + m[0], text or ''), room)

def cell(text): return text.replace('|', r'\|').replace('\n', ' ')

def table(room, ps, result=None):
    "What each parameter means"
    code = lambda node: f'`{cell(written(node))}`' if node else ''
    rows = [f'| `{name}` | {link(code(kind), room)} | {code(d)} | {plain(cell(said), room)} |' for name, kind, d, said in ps]
    if result: rows.append(f'| *returns* | {link(code(result[0]), room)} | | {plain(cell(result[1]), room)} |')
    return '\n'.join(['| parameter | type | default | meaning |', '|---|---|---|---|', *rows]) if rows else ''

def directive(kind, head, room, *parts, **options):
    "A directive whose fence is longer than those in it"
    text = '\n\n'.join(p for p in parts if p)
    fence = '`'*max([3, *(len(m) + 1 for m in re.findall(r'^`{3,}', text, re.M))])
    opts = dict(module=f'srisc_tl.{room}') | options
    return '\n'.join([f'{fence}{{py:{kind}}} {head}', *(f':{k}: {v}' for k, v in opts.items()), '', text, fence])

def function(room, fn, kind='function', head='', skip=0):
    "A function or a method: its signature, its docstring, its parameters"
    ps, end = parameters(room, fn)[skip:], ending(room, fn)
    said, alone = remarks(room).get(end, ('', True))
    result = (fn.returns, '' if alone else said) if fn.returns or not alone else None
    spoken = table(room, ps, result) if kind == 'function' or any(p[3] for p in ps) else plain(said, room)
    return directive(kind, (head or fn.name) + ('' if kind == 'property' else signature(room, ps, fn.returns)), room, plain(ast.get_docstring(fn), room), spoken)

def methods(room, cls):
    "Public methods and properties that say what they do"
    for n in cls.body:
        if not isinstance(n, DEFS[:2]) or n.name[0] == '_': continue
        marks = decorated(n)
        kind = 'property' if any('property' in m for m in marks) else 'method'
        if kind == 'method' and not ast.get_docstring(n) and remarks(room).get(ending(room, n), ('', True))[1]: continue
        yield function(room, n, kind, f'{cls.name}.{n.name}', skip=int('staticmethod' not in marks))

def klass(room, cls):
    "A class: what it stands on, what it takes, what it can do"
    on = ', '.join(link(f'`{ast.unparse(b)}`', room) for b in cls.bases)
    ps = taken(room, cls)
    return directive('class', cls.name + signature(room, ps), room, plain(ast.get_docstring(cls), room), f'Stands on {on}.' if on else '', table(room, ps), *methods(room, cls))

def constant(room, node, name):
    "A name for a value: the value, and what is said of it"
    text, said = ast.get_source_segment(source(room), node), remark(room, node, 0)
    value = written(node.value) if bound(node) == [name] else ''
    short = value and len(value) <= LONG
    lines = text.splitlines()
    shown = '' if short else '\n'.join(['```python', *lines[:LINES], *(['...'] if len(lines) > LINES else []), '```'])
    return directive('data', name, room, plain(said, room), shown, **(dict(value=json.dumps(value, ensure_ascii=False)) if short else {}))

def section(room, name):
    "The entry of a public name, or nothing where this module only passes it on"
    node = next((n for n in body(room) if name in bound(n)), None)
    if node is None: return ''
    return klass(room, node) if isinstance(node, ast.ClassDef) else function(room, node) if isinstance(node, DEFS) else constant(room, node, name)
