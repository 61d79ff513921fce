"""The site as `make docs` makes it, without running pages but one: all names are there with all their parameters, no link is broken, pictures have a text, search finds."""
import functools, http.server, importlib, importlib.util, inspect, json, os, re, shutil, subprocess, sys, threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
import pytest
from repo import ROOT, pages, rooms

pytestmark = pytest.mark.skipif(not importlib.util.find_spec('sphinx'), reason='no sphinx: pip install -e ".[dev]"')
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
FLAGS = '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'.split()
RUN = '04a_sheets'  # the page that is run: quick, with pictures

@pytest.fixture(scope='module')
def site(tmp_path_factory):
    "A site built from scratch, where a warning is an error; or SRISC_SITE, one that `make docs` has made"
    if made := os.environ.get('SRISC_SITE'): return (ROOT/made).resolve()
    tmp = tmp_path_factory.mktemp('site')
    cmd = [sys.executable, ROOT/'docs/build.py', '--only', RUN, '--jobs', '1', '--out', tmp/'site', '--src', tmp/'src', '--cache', tmp/'kept']
    done = subprocess.run(list(map(str, cmd)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-5000:]
    assert 'WARNING: ' not in done.stdout, done.stdout[-5000:]
    return tmp/'site'

class Seen(HTMLParser):
    "What a page points to and can be pointed at, its pictures, what it loads; of each entry its source link and the first column of its table"
    def __init__(self, page):
        super().__init__()
        self.ids, self.links, self.loads, self.pictures, self.entries, self.sourced = set(), [], [], [], {}, set()
        self.entry, self.column = None, 0
        self.feed(page.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.ids |= {a[k] for k in ('id', 'name') if a.get(k)}
        if tag == 'a' and a.get('href'): self.links.append(a['href'])
        if tag == 'img': self.pictures.append(a)
        if tag in ('script', 'img') and a.get('src'): self.loads.append(a['src'])
        if tag == 'link' and a.get('rel') == 'stylesheet': self.loads.append(a['href'])
        self.place(tag, a.get('id'), a.get('class') or '')

    def place(self, tag, name, kind):
        if tag == 'dt' and name: self.entry, self.entries[name] = name, []
        if 'viewcode-link' in kind: self.sourced.add(self.entry)
        if tag == 'div' and kind.startswith('cell'): self.entry = None
        if tag in ('tr', 'td'): self.column = 0 if tag == 'tr' else self.column + 1
        if self.entry and tag == 'td' and self.column == 1: self.entries[self.entry].append('')

    def handle_endtag(self, tag):
        if tag == 'table': self.entry = None

    def handle_data(self, text):
        if self.entry and self.column == 1 and self.entries[self.entry]: self.entries[self.entry][-1] += text.strip()

@pytest.fixture(scope='module')
def seen(site): return {p.relative_to(site).as_posix(): Seen(p) for p in sorted(site.rglob('*.html')) if '_static' not in p.parts}

@pytest.fixture(scope='module')
def soup(site):
    "A page, parsed whole, by its path below the site"
    from bs4 import BeautifulSoup
    return functools.cache(lambda page: BeautifulSoup((site/page).read_text(encoding='utf-8'), 'html.parser'))

@pytest.fixture(scope='module')
def entries(site):
    "{full name: (kind, page)} of the Python domain"
    from sphinx.util.inventory import InventoryFile
    inv = InventoryFile.loads((site/'objects.inv').read_bytes(), uri='').data
    return {name: (kind, item.uri.split('#')[0]) for kind in ('function', 'class', 'data', 'method', 'property') for name, item in inv[f'py:{kind}'].items()}

def offered():
    "(room, name, object) of every public name, told by the imported modules; what a room only passes on is the other room's"
    for room in rooms():
        mod = importlib.import_module(f'srisc_tl.{room}')
        for name in getattr(mod, '__all__', []):
            obj = getattr(mod, name)
            at = getattr(obj, '__module__', None) if inspect.isroutine(obj) or inspect.isclass(obj) else None
            yield (at.removeprefix('srisc_tl.') if (at or '').startswith('srisc_tl.') else room), name, obj

def test_every_page(site):
    sys.path.append(str(ROOT/'docs'))
    from adapt import docname
    gone = [p.stem for p in pages() if not (site/f'{docname(p)}.html').exists()]
    assert not gone and len(list(site.glob('part-*.html'))) == 12

def test_every_public_name(entries):
    names = [f'srisc_tl.{room}.{name}' for room, name, _ in offered()]
    assert len(names) > 900 and not [n for n in names if n not in entries]

def test_every_parameter(entries, seen):
    "Against the signatures of the imported objects; the site is made from the text of the modules"
    lacking, n = [], 0
    for room, name, obj in offered():
        full = f'srisc_tl.{room}.{name}'
        if not (inspect.isfunction(obj) or inspect.isclass(obj)) or not str(getattr(obj, '__module__', '')).startswith('srisc_tl'): continue
        own = inspect.isfunction(obj) or '__init__' in vars(obj)
        wanted = [k for k in inspect.signature(obj).parameters if k != 'self'] if own else []
        told = [r.lstrip('*') for r in seen[entries[full][1]].entries[full]]
        lacking += [f'{full}({k})' for k in wanted if k not in told]
        n += len(wanted)
    assert n > 1500 and not lacking, lacking

def test_every_entry_has_its_source(entries, seen):
    bare = [k for k, (kind, page) in entries.items() if kind != 'data' and k not in seen[page].sourced]
    assert not bare, bare

def test_no_link_is_broken(site, seen):
    "Links within the site lead somewhere; nothing is loaded from elsewhere"
    broken, n = [], 0
    for page, o in seen.items():
        broken += [f'{page} loads {ref}' for ref in o.loads if re.match('(?!data:)[a-z]+:|//', ref)]
        for ref in (r for r in o.loads + o.links if not re.match('[a-z]+:', r)):
            path, _, anchor = unquote(ref).partition('#')
            path = path.partition('?')[0]
            target, n = ((site/page).parent/path).resolve() if path else site.resolve()/page, n + 1
            ids = seen.get(target.relative_to(site.resolve()).as_posix())
            if not target.exists() or anchor and ids and anchor not in ids.ids: broken.append(f'{page} → {ref}')
    assert n > 20_000 and not broken, broken[:20]

def test_links_between_pages(soup):
    "A name in backticks leads to its entry, also where another room has it"
    links = {a.get_text(): a['href'] for a in soup('finetune.html').select('article p a.reference.internal, article td a.reference.internal')}
    assert links['Corpus'] == 'build.html#srisc_tl.build.Corpus' and links['DataError'] == 'bounds.html#srisc_tl.bounds.DataError'
    assert [a for a in soup('index.html').select('article a.reference.internal') if a['href'].startswith('convention.html')]

def test_pictures_have_a_text(seen, soup):
    imgs = [(p, o) for p, s in seen.items() for o in s.pictures]
    assert imgs and not [(p, o.get('src', '')[:60]) for p, o in imgs if not (o.get('alt') or '').strip()]
    drawn = [(p, o['src']) for p, o in imgs if '_images/' in o.get('src', '') and o['src'].endswith('.png')]
    assert len(set(drawn)) == len(drawn), 'a picture stands twice in a page'
    ran = soup('sheets.html').select('.cell_output img')
    assert ran and all(len(o['alt']) > 20 for o in ran)
    flow = soup('index.html').select_one('article svg.flow')
    assert all(flow.find(id=i).get_text().strip() for i in flow['aria-labelledby'].split()) and len(flow.select('a[href]')) >= 12

def test_reading_order(soup):
    side = [a['href'] for a in soup('index.html').select('.bd-docs-nav a.reference.internal')]
    at = [side.index(f'{p}.html') for p in ('convention', 'synth', 'readers', 'consolidate', 'preprocess', 'corpus', 'backbone', 'pretrain', 'transferability', 'finetune', 'dense', 'experiment', 'report', 'widgets', 'cli')]
    assert at == sorted(at)

def test_search_index(site):
    text = (site/'searchindex.js').read_text(encoding='utf-8')
    index = json.loads(re.search(r'Search\.setIndex\((.*)\)', text, re.S)[1])
    found = [(index['docnames'][o[0]], o[-1]) for o in index['objects']['srisc_tl.transferability'] if o[-1] == 'logme']
    assert found == [('transferability', 'logme')] and str(index['docnames'].index('transferability')) in re.findall(r'\d+', str((index['terms']['logm'], index['titleterms']['logm'])))  # stemmed

@pytest.fixture(scope='module')
def browser(site):
    "The site in a real browser: (page, address)"
    if not CHROMIUM or not importlib.util.find_spec('playwright'): pytest.skip('no chromium, or no playwright')
    from playwright.sync_api import sync_playwright
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_): pass
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with sync_playwright() as play:
            chrome = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = chrome.new_page(viewport=dict(width=1280, height=900))
            page.set_default_timeout(60_000)
            yield page, f'http://127.0.0.1:{server.server_port}'
            chrome.close()
    finally:
        server.shutdown(), server.server_close()

def shot(page, name):
    if shots := os.environ.get('SRISC_SHOTS'): page.screenshot(path=Path(shots)/f'{name}.png')

def test_search_opens_the_page(browser):
    page, at = browser
    page.goto(f'{at}/search.html?q=logme')
    hit = page.locator('#search-results ul.search a', has_text='logme').first
    hit.wait_for()
    shot(page, 'search')
    hit.click()
    page.wait_for_url('**/transferability.html#srisc_tl.transferability.logme')
    assert page.locator('dt[id="srisc_tl.transferability.logme"]').is_visible()

def test_dark_mode(browser):
    page, at = browser
    page.goto(f'{at}/index.html')
    back = {}
    for mode in ('light', 'dark'):
        page.locator('.theme-switch-button:visible').first.click()
        page.locator(f'.theme-change-button[data-mode={mode}]:visible').first.click()
        page.wait_for_selector(f'html[data-theme={mode}]')
        back[mode] = page.evaluate('getComputedStyle(document.body).backgroundColor'), page.evaluate("getComputedStyle(document.querySelector('.flow .name')).fill")
    assert back['light'][0] != back['dark'][0] and back['light'][1] != back['dark'][1], back   # the picture goes with the page
    shot(page, 'dark')

@pytest.mark.parametrize('name', ['index', 'sheets', 'transferability', 'cli'])
def test_phone(browser, name):
    "At a phone's width nothing sticks out, and the letters stay readable"
    page, at = browser
    page.set_viewport_size(dict(width=375, height=800))
    page.goto(f'{at}/{name}.html')
    assert page.evaluate('document.documentElement.scrollWidth') <= 375
    assert page.evaluate("parseFloat(getComputedStyle(document.querySelector('article p')).fontSize)") >= 14
    shot(page, f'phone-{name}')
    page.set_viewport_size(dict(width=1280, height=900))
