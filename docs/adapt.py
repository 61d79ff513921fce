"""Pages as MyST notebooks: entries of the API in place of exported cells, links between pages, a text for each picture."""
import ast, re
from functools import cache
from repo import LIB, ROOT, cells, exported, page_id, room_of
from api import bound, found, home, link, public, section

REPO = 'https://github.com/srisc-tl/srisc_tl/blob/main'
PARTS = {  # numbers of pages → what they are about, in the order of the data
    '00': ('Convention', 'What a dataset is: the table of its images, the folder it lies in, and what is checked.'),
    '01': ('Invented sets', 'Six invented industries, drawn by program, in the layouts that real downloads have.'),
    '02': ('Readers', 'From a raw download, in whatever layout, to the convention.'),
    '03 04': ('One corpus', 'Many sets become one corpus: classes kept apart, copies left out, sides and class sizes limited.'),
    '05': ('Views and batches', 'Parts of a corpus, and batches from them.'),
    '06 07': ('Bodies and pretraining', 'A network without its head, where its weights come from, and regimes of pretraining.'),
    '08 09': ('Which source', 'What foretells that a source helps a target, and how much of it is to be taken.'),
    '10': ('Fine-tuning', 'How the knowledge is applied to the target, and the model that comes of it.'),
    '11': ('Masks and boxes', 'The same bodies under segmentation and detection.'),
    '12 13': ('Measuring', 'Trials, statistics, figures and pages that answer.'),
    '14': ('Widgets', 'Look and click, in a notebook.'),
    '15': ('Commands', 'The same from a terminal.')}
FILES = {'CONTRIBUTING.md': 'contributing', 'CHANGELOG.md': 'changelog', 'benchmarks/README.md': 'benchmarks'}  # shown as they are
LIVE = ('application/vnd.jupyter.widget-view+json', 'application/javascript')  # needs a kernel, or scripts from elsewhere

def docname(page):
    "Name of a page in the site: its own without its number, as nbdev has it"
    return 'index' if page.stem == 'index' else '/'.join([*page_id(page).split('/')[:-1], re.sub(r'^\d+[a-z]*_', '', page.stem)])

def title_of(page): return re.search(r'^# (.+)', cells(page, 'markdown')[0]['source'], re.M)[1]
def lead_of(page): return re.search(r'^> (.+)', cells(page, 'markdown')[0]['source'], re.M)[1]
@cache
def scope(page): # {name: the room that a cell of the page imports it from}
    code = '\n'.join(c['source'] for c in cells(page, 'code'))
    return {n.strip(): m[1] for m in re.finditer(r'^from srisc_tl\.(\w+) import (.+)', code, re.M) for n in m[2].split(',')}

def relink(text, at, docs):
    "Links to files of the repository: to the page made of one, else to where the repository keeps it"
    def one(m):
        if re.match(r'[a-z]+:|#', m[2]): return m[0]
        path, anchor = re.fullmatch('([^#]*)(.*)', m[2]).groups()
        target = (at/path).resolve()
        kept = target.relative_to(ROOT).as_posix()
        if m[1][0] == '!': return f'{m[1]}(/{kept})'
        return f'{m[1]}(/{docs[target]}{target.suffix}{anchor})' if target in docs else f'{m[1]}({REPO}/{kept}{anchor})'
    return re.sub(r'(!?\[[^\]]*\])\(([^)\s]+)\)', one, text)

def words(text, page, room, docs):
    "A text of a page, with links on names of pages, rooms and symbols"
    stems = {p.stem: d for p, d in docs.items() if p.suffix == '.ipynb'}
    text = link(relink(text, page.resolve().parent, docs), room, scope(page))
    text = re.sub(r'`(\d\w+)`', lambda m: f'{{doc}}`{m[1]} </{stems[m[1]]}>`' if m[1] in stems else m[0], text)
    return re.sub(r'(?<![\w}])`srisc_tl\.(\w+)`', lambda m: f'{{py:mod}}`srisc_tl.{m[1]}`' if (LIB/f'{m[1]}.py').exists() else m[0], text)

def entries(cell, room):
    "The entries of the public names that an exported cell defines"
    names = [n for o in ast.parse(cell['source']).body for n in bound(o) if n in public(room)]
    return '\n\n'.join(f'<span id="{n.lower()}"></span>\n\n{section(room, n)}' for n in dict.fromkeys(names))

def picture(code, page, room):
    "What a picture shows, by the function that has drawn it"
    known = [(n, home(n, room, scope(page))) for n in re.findall(r'\b(\w+)\(', code)]
    known = [(n, found(r, n)) for n, r in known if r and found(r, n)]
    drawn = [o for o in known if o[0].startswith('plot')] or known
    text = drawn[-1][0] + ': ' + (ast.get_docstring(drawn[-1][1]) or '').split('. ')[0] if drawn else code.strip().splitlines()[-1]
    return re.sub(r'[`"\n]+', ' ', f'{title_of(page)}, {text}')[:200]

def outputs(cell, said):
    "Outputs that stand on paper too: no warnings or progress bars, no widgets that need a kernel; a text for each picture"
    res = []
    for o in cell.get('outputs', []):
        data = o.get('data', {})
        if o.get('name') == 'stderr' or any(k in data for k in LIVE): continue
        if 'text/html' in data:
            if 'progress' in data['text/html'] or not re.sub(r'<style.*?</style>', '', data['text/html'], flags=re.S).strip(): continue
            data['text/html'] = re.sub(r'<img(?![^>]*\balt="[^"])', f'<img alt="{said}"', data['text/html'].replace('<img alt=""', '<img'))
        res.append(o)
    return res

def shown(cell, told, page, room, docs):
    "A cell as the site has it, or None"
    if cell.cell_type == 'markdown': cell.source = words(cell.source, page, room, docs)
    elif exported(told) and room:
        cell.cell_type, cell.source = 'markdown', entries(told, room)
        for k in ('outputs', 'execution_count'): cell.pop(k, None)
        if not cell.source: return None
    elif 'hide' in told['directives'] or 'default_exp' in told['directives']: return None
    elif cell.cell_type == 'code':
        cell.source = re.sub(r'^(#[ \t]*\||%matplotlib).*\n?', '', cell.source, flags=re.M).strip()
        said = picture(cell.source, page, room)
        cell.metadata['mystnb'] = dict(image=dict(alt=said))
        cell.outputs = outputs(cell, said)
    return cell

def head(nb, page, room):
    "Below the title and what the page is for: the module, and where the notebook is"
    if not room: return
    at = f'`from srisc_tl.{room} import …` · [{page.name}]({REPO}/{page.relative_to(ROOT).as_posix()})'
    first = nb.cells[0]
    first.source = re.sub(r'(^> .+(?:\n>.*)*)', lambda m: f'{m[1]}\n\n```{{py:module}} srisc_tl.{room}\n```\n\n{at}', first.source, count=1, flags=re.M)

def adapt(page, src, docs):
    "A notebook, executed or not, as one that Sphinx reads"
    import nbformat
    nb, room = nbformat.read(src, as_version=4), room_of(page)
    nb.cells = [new for c, told in zip(nb.cells, cells(page)) if (new := shown(c, told, page, room, docs))]
    head(nb, page, room)
    nb.metadata = nbformat.from_dict(dict(kernelspec=dict(name='python3', display_name='python3', language='python'), language_info=dict(name='python', pygments_lexer='ipython3')))
    return nb
