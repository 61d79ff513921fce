"""What the tests know of the repository: its settings, its commands, its pages and its rooms."""
import json, os, re
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NBS, LIB = ROOT/'nbs', ROOT/'srisc_tl'
FLAGS = ('slow', 'data', 'cuda')  # cells and tests that run only when SRISC_TEST_FLAGS names them

def flags(): return set(os.environ.get('SRISC_TEST_FLAGS', '').split())

def settings():
    "The section of settings.ini"
    ini = ConfigParser(delimiters=['='])
    ini.read(ROOT/'settings.ini', encoding='utf-8')
    return ini['DEFAULT']

def commands():
    "Console scripts: {'srisc_demo': 'srisc_tl.cli:srisc_demo'}"
    lines = [o for o in settings().get('console_scripts', '').splitlines() if o.strip()]
    return dict([p.strip() for p in o.split('=', 1)] for o in lines)

def pages():
    "Notebooks in reading order; none that starts with _ or a dot; index.ipynb once, although nbs/ has a link to it"
    ps = [p for p in sorted(NBS.rglob('*.ipynb')) if not any(o[0] in '._' for o in p.relative_to(NBS).parts)]
    top = ROOT/'index.ipynb'
    return ps + ([top] if top.exists() and top not in [p.resolve() for p in ps] else [])

def page_id(p):
    "Name of a page in test reports"
    return p.relative_to(NBS if NBS in p.parents else ROOT).with_suffix('').as_posix()

def cells(page, kind=None):
    "Cells of a notebook as dicts, `source` joined, `directives` parsed ({'eval': 'false', 'export': ''})"
    res = json.loads(page.read_text(encoding='utf-8'))['cells']
    for c in res:
        c['source'] = ''.join(c['source'])
        c['directives'] = dict(re.findall(r'^#[ \t]*\|[ \t]*([\w-]+)[ \t:]*(.*?)[ \t]*$', c['source'], re.M))
    return [c for c in res if kind in (None, c['cell_type'])]

def exported(cell): return any(o.startswith('export') for o in cell['directives'])

def room_of(page):
    "Module that a page exports, or None"
    return next((c['directives']['default_exp'] for c in cells(page, 'code') if 'default_exp' in c['directives']), None)

def rooms():
    "{module: its place in reading order}"
    return {r: i for i, r in enumerate(map(room_of, pages())) if r}
