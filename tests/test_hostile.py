"""A hostile set, from the download to the report: each thing in it is refused with a clear line, or shown as what it is."""
import html.parser, io, json, os, pickle, re, subprocess, sys, unicodedata, warnings, zipfile
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from repo import ROOT
from sandbox import only
from test_bad_input import XML, bmp_bomb, picture, png_bomb, tar_of, zip_of
from srisc_tl.bounds import LIMITS, DataError, limit
from srisc_tl.cli import srisc_build, srisc_check, srisc_convert, srisc_import, srisc_report

CLASSES = ['<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', "'onmouseover='alert(1)", '기포 불량', 'שלום עולם', '\u202egnp.exe', '$\\frac$', '{{7*7}}', '&lt;b&gt;', '\x1b[2Jclear', 'a=1+cmd|x']
FILE = '"><svg onload=alert(1)>\u202e&{}.png'

# ---- what a page may hold

class Page(html.parser.HTMLParser):
    "The elements, attributes and text of a page, as a browser reads them"
    def __init__(self, text):
        super().__init__()
        self.tags, self.attrs, self.text, self.open = set(), [], '', []
        self.feed(text), self.close()
    def handle_starttag(self, tag, attrs): self.tags.add(tag), self.attrs.extend((tag, k, v or '') for k, v in attrs)
    def handle_data(self, data): self.text += data

DRAWN = set('svg g path defs clippath rect use text tspan style image circle line polygon polyline lineargradient stop mask symbol title'.split())
PLAIN = set('html head meta title style body header main section nav footer h1 h2 p ol li a div b br table thead tbody tr th td details summary figure figcaption img pre dl dt dd span'.split())

def harmless(text):
    "Assert that HTML holds no script, no handler, and no address but those within it; the page"
    page = Page(text)
    assert page.tags <= DRAWN | PLAIN, page.tags - DRAWN - PLAIN
    for tag, k, v in page.attrs:
        assert not k.startswith('on'), (tag, k, v)
        if k in ('src', 'href', 'xlink:href'): assert v.startswith(('data:image/', '#')), (tag, k, v)
        if k == 'style': assert 'url(' not in v.replace('url(#', '') and 'expression' not in v, v
    return page

def test_the_page_is_looked_into():
    "The proof is worth something: what a browser would run is seen"
    for bad in ('<script>alert(1)</script>', '<img src=x>', '<p onclick="x()">', '<a href="javascript:x()">', '<iframe></iframe>', '<b style="background:url(http://x)">', '<svg onload=x>'):
        with pytest.raises(AssertionError): harmless(f'<div>{bad}</div>')
    assert harmless('<p title="&lt;script&gt;">&lt;script&gt;</p>').text == '<script>'

# ---- the set

def marked(seed, size=120):
    "A picture that no other is a copy of"
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (6, 6), dtype=np.uint8)).resize((size, size), Image.Resampling.BICUBIC)

def raw_set(at):
    "Twelve classes of hostile names, each in a folder of that name and on a box of labelme's, and files that are no pictures"
    def note(image, label, side=120): image.with_suffix('.json').write_text(json.dumps(dict(imagePath=image.name, imageWidth=side, shapes=[dict(label=label, shape_type='rectangle', points=[[9, 9], [60, 70]])])))
    for i, name in enumerate([*CLASSES, 'normal']):
        (folder := at/name.replace('/', '')).mkdir(parents=True)
        for k in range(4):
            marked(10*i + k).save(image := folder/FILE.format(f'{i}_{k}'))
            note(image, name)
    bad = dict(bomb=png_bomb(60_000, 60_000), broken=bmp_bomb(60_000, 60_000), program=b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n(%pipe%touch pwned) (w) file\n', page=b'<script>alert(1)</script>')
    for n, data in bad.items(): (at/f'normal/{n}.png').write_bytes(data), note(at/f'normal/{n}.png', 'normal')
    return at

def call(command, *words, capsys=None):
    "A command as a shell calls it: its exit code, stdout, stderr"
    code = command.main(list(map(str, words)))
    return code, *capsys.readouterr()

def shown(*texts):
    "Assert that a terminal obeys nothing of what it is shown"
    for c in set(''.join(texts)) - {'\n', '\t', '\r'}: assert c.isprintable(), f'{c!r} in what is shown'

@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "The set imported and built by the commands, and what they said"
    at, said = tmp_path_factory.mktemp('hostile'), {}
    raw_set(at/'raw')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')                       # of glyphs that a font lacks
        srisc_import(str(at/'raw'), name='film', industry='film/<b>x<b>', reader='labelme', zoo=str(at/'zoo'), n_jobs=1)
        built = srisc_build(zoo=str(at/'zoo'), out=str(at/'corpora'), page=str(at/'corpus.html'), n_jobs=1, pack='32')
    return at, Path(built['corpus']), said

def test_import(made):
    "Every hostile name is a class, what is no picture is listed, and no file lies outside of the zoo"
    at, corpus, _ = made
    facts, skipped = json.loads((at/'zoo/film/dataset.json').read_text()), pd.read_csv(at/'zoo/film/skipped.csv')
    assert len(facts['labels']) == len(CLASSES) + 1 and facts['images'] == 4*len(facts['labels'])
    assert {Path(p).name for p in skipped['path']} == {'bomb.png', 'broken.png', 'program.png', 'page.png'} and not list(at.rglob('pwned'))
    assert {p.name for p in at.glob('[!.]*')} == {'raw', 'zoo', 'corpora', 'corpus.html'}
    for p in [*(at/'zoo').rglob('*'), *corpus.rglob('*')]: assert re.fullmatch(r'[\w.\- +]+', p.name) and p.name.isprintable(), p.name

def test_terminal(made, tmp_path, capsys):
    "What the commands say holds no code that a terminal obeys, and errors are one line"
    at, corpus, _ = made
    code, out, err = call(srisc_check, at/'zoo', capsys=capsys)
    assert code == 0 and 'film' in out
    shown(out, err)
    code, out, err = call(srisc_import, at/'raw', '--guess', capsys=capsys)
    shown(out, err)
    evil = raw_set(tmp_path/'\x1b[2Jraw\u202e')
    for words in ((evil, '--name', 'film', '--industry', 'x', '--reader', 'csv', '--args', '{"table": "t.csv"}'), (evil/'normal/page.png', '--name', 'x', '--industry', 'y'), (tmp_path/'\x1b]0;x\x07', '--name', 'x')):
        code, out, err = call(srisc_import, *words, '--zoo', tmp_path/'zoo', capsys=capsys)
        assert code and err.count('\n') == 1
        shown(out, err)

def test_corpus_page(made):
    "The page of a corpus shows every name as it is, and runs none"
    at, corpus, _ = made
    text = (at/'corpus.html').read_text()
    page = harmless(text)
    for name in CLASSES[1:6]: assert name in page.text, name
    assert '<script>alert(1)<-script>' in page.text                       # a label has no '/'
    assert "default-src 'none'" in text and '<script' not in text.lower()

def test_report_and_advice(made, tmp_path):
    "So do the report of a study and the page of an advice"
    from srisc_tl.advice import advice_page
    from srisc_tl.evidence import measured
    from srisc_tl.experiment import Store, Trial
    from srisc_tl.recommend import recommend
    from dataclasses import asdict
    store = Store(tmp_path/'<b>r.db')
    for t, name in enumerate(CLASSES[:4]):
        for seed in range(2):
            for r in ('imagenet', 'sequential'):
                trial = Trial('regimes', r, 'uniform', 'full', name, 5, seed)
                store.append(dict(asdict(trial), key=trial.key, status='ok' if seed or t else 'failed', error=(t + seed)/99, macro_error=.1, n_train=5, n_test=9, n_classes=2, seconds=1., message=name))
    srisc_report(store=str(store.path), out=str(tmp_path/'report.html'))
    past = measured()
    past = past[(past['study'] == 'adaptive') & (past['per_class'] == past['per_class'].min())]
    past = past.assign(target=past['target'].replace(past['target'].iloc[0], CLASSES[0]))
    rec = recommend(past, pd.DataFrame(), name=CLASSES[1])
    advice_page(rec, pd.DataFrame(), past, tmp_path/'advice.html')
    for file, name in (('report.html', CLASSES[1]), ('advice.html', CLASSES[1])): assert name in harmless((tmp_path/file).read_text()).text

def test_widgets(made):
    "The HTML of every widget, and of what it draws, holds names as text"
    from srisc_tl.build import load_corpus
    from srisc_tl.cleaner import label_cleaner
    from srisc_tl.explorer import run_explorer, weights_explorer
    from srisc_tl.picker import class_picker
    from srisc_tl.widgets import corpus_browser
    import ipywidgets
    corpus = load_corpus(made[1])
    suspects = corpus.items.assign(guess=CLASSES[0], loss=1., p_given=.1, p_guess=.9)
    trials = pd.DataFrame([dict(study='regimes', regime=r, selector='uniform', strategy='full', target=t, per_class=5, seed=s, status='ok', error=.1*(1 + s), macro_error=.1, budget='{}') for t in CLASSES[:3] for r in ('imagenet', 'sequential') for s in range(3)])
    ws = [corpus_browser(corpus), class_picker(corpus, corpus), label_cleaner(suspects), weights_explorer(dict.fromkeys(corpus.classes, 1.), corpus), run_explorer(trials)]
    ws[1].there.value = ws[1].there.options[0][1:]
    def values(w): return [w.value] if type(w) is ipywidgets.HTML else [v for c in getattr(w, 'children', ()) for v in values(c)]
    for w in ws:
        text = ''.join(values(w))
        assert len(text) > 500
        page = harmless(text)
        assert not getattr(w, 'description_allow_html', False) and re.search('alert|svg', page.text + ''.join(v for _, _, v in page.attrs)), type(w)

@pytest.mark.parametrize('format', ['imagefolder', 'huggingface', 'coco', 'yolo', 'fiftyone'])
def test_exports(format, made, tmp_path):
    "An export stays in its folder, whatever the classes are called; its README shows their names and runs none"
    with only([made[1]], [tmp_path]): found = srisc_convert(corpus=str(made[1]), out=str(tmp_path/'out'), format=format)
    files = [p for p in (tmp_path/'out').rglob('*') if p.is_file()]
    assert found['images'] + found['left_out'] == 4*(len(CLASSES) + 1) and len(files) > 1 and {p.name for p in tmp_path.iterdir()} == {'out'}
    for p in files: assert p.resolve().is_relative_to(tmp_path/'out') and p.name.isprintable()
    assert '<script' not in (tmp_path/'out/README.md').read_text()

# ---- archives, XML, pickles

def test_archives(tmp_path, capsys):
    "An archive that leads out, by a name or by a link, ends in one line that names the member, and leaves nothing"
    zip_of(tmp_path/'slip.zip', '../../evil.png'), tar_of(tmp_path/'link.tar.gz', 'dust/evil.png', b'2', '../../../etc/passwd')
    tar_of(tmp_path/'slip.tar.gz', '/tmp/evil-4c1f.png')
    for name in ('slip.zip', 'link.tar.gz', 'slip.tar.gz'):
        code, out, err = call(srisc_import, tmp_path/name, '--name', 'film', '--industry', 'x', '--reader', 'folder', '--zoo', tmp_path/'zoo', capsys=capsys)
        assert code == 2 and err.count('\n') == 1 and 'evil' in err and 'member' in err, err
    assert {p.name for p in tmp_path.rglob('*')} <= {'slip.zip', 'link.tar.gz', 'slip.tar.gz', 'zoo', '.raw'} and not Path('/tmp/evil-4c1f.png').exists()

def test_xml_bomb(tmp_path):
    "An annotation that would grow to gigabytes costs its image, and nothing else"
    laughs = '<!ENTITY x0 "ha">' + ''.join(f'<!ENTITY x{i} "{f"&x{i - 1};"*10}">' for i in range(1, 12))
    for i, text in enumerate([XML.format(name='dust'), XML.format(name='pit'), f'<!DOCTYPE a [{laughs}]>' + XML.format(name='&x11;'), '<a>'*99_999]):
        picture(tmp_path/f'raw/{i}.png', i), (tmp_path/f'raw/{i}.xml').write_text(text)
    args = dict(images=r'^(?P<stem>.*)\.png$', sidecar=r'\g<stem>.xml', parse='voc')
    srisc_import(str(tmp_path/'raw'), name='film', industry='x', reader='sidecar', args=json.dumps(args), zoo=str(tmp_path/'zoo'), n_jobs=1)
    skipped = pd.read_csv(tmp_path/'zoo/film/skipped.csv').set_index('path')['reason']
    assert sorted(skipped.index) == ['2.png', '3.png'] and 'Entities' in skipped['2.png'] and 'elements within each other' in skipped['3.png']

class Program:
    "A pickle that makes a folder when it is loaded"
    def __init__(self, at): self.at = str(at)
    def __reduce__(self): return os.mkdir, (self.at,)

def test_pickle_checkpoint(tmp_path):
    "A pickle is not loaded, whatever it is called and wherever it lies"
    import torch
    from srisc_tl.backbone import load_checkpoint
    from srisc_tl.pixels import packed
    from srisc_tl.resume import read_place
    from srisc_tl.weights import read_weights
    evil = Program(tmp_path/'pwned')
    for name in ('w.pth', 'w.pt', 'w.bin', 'w.ckpt', 'w.tar'):
        for old in (True, False):
            torch.save(dict(w=torch.zeros(2), x=evil), tmp_path/name, _use_new_zipfile_serialization=not old)
            with pytest.raises(DataError, match='can run programs'): read_weights(tmp_path/name)
    (tmp_path/'w.pkl').write_bytes(pickle.dumps(evil)), (tmp_path/'w.safetensors').write_bytes(pickle.dumps(evil))
    for name in ('w.pkl', 'w.safetensors'):
        with pytest.raises(DataError): read_weights(tmp_path/name)
    with pytest.raises(DataError): read_place(tmp_path/'w.safetensors')
    (tmp_path/'c').mkdir(), (tmp_path/'c/weights.safetensors').write_bytes(pickle.dumps(evil))
    for text in (pickle.dumps(evil), b'{}'):
        (tmp_path/'c/checkpoint.json').write_bytes(text)
        with pytest.raises(DataError): load_checkpoint(tmp_path/'c')
    assert not (tmp_path/'pwned').exists()

def test_no_way_to_run_text():
    "No module evaluates text, starts a shell, or unpickles; programs are started by their name and arguments"
    ways = re.compile(r'(?<![\w.])(?:eval|exec)\(|os\.(?:system|popen)|shell=True|pickle\.loads?\(|yaml\.(?:load|unsafe_load|full_load)\(|allow_pickle=True|weights_only=False|joblib\.load|load_learner\(|extractall\(|import_module\(|__import__')
    found = [f'{p.name}:{i}: {line.strip()}' for p in sorted((ROOT/'srisc_tl').glob('*.py')) for i, line in enumerate(p.read_text().splitlines(), 1) if ways.search(line)]
    assert not found, found
    loads = [line for p in (ROOT/'srisc_tl').glob('*.py') for line in p.read_text().splitlines() if 'torch.load(' in line]
    assert loads and all('weights_only=True' in line or line.lstrip().startswith(('#', '"', "'")) or '→' in line for line in loads), loads

# ---- limits

def use(name, at):
    "Ask for three of what a limit is on; the error's text, or the reason"
    from srisc_tl.bounds import from_json, read_bytes
    from srisc_tl.checked import read_parquet, read_xml
    from srisc_tl.fetch import open_raw
    from srisc_tl.masks import draw_mask
    from srisc_tl.probe import examine, probe
    def opened():
        with open_raw(at/'a.zip') as d: return sorted(d.rglob('*'))
    ways = dict(max_pixels=lambda: probe(at/'a.png', at), max_text=lambda: read_bytes(at/'a.txt'), max_nesting=lambda: (read_xml(at/'a.xml'), from_json('[[[]]]'))[1],
                max_objects=lambda: examine(dict(path=str(at/'a.png'), label='a', boxes=[['a', 1, 1, 5, 5]]*3), at), max_crossings=lambda: draw_mask(9, 9, dict(a=1), segments=[['a', 'polygon', [[1, 1], [8, 1], [8, 8], [1, 8]]]]),
                max_rows=lambda: read_parquet(at/'a.parquet'), max_table=lambda: read_parquet(at/'a.parquet'), max_bytes=opened, max_files=opened, max_ratio=opened, max_depth=opened)
    try: found = ways[name]()
    except DataError as e: return str(e)
    return found.get('reason', '') if isinstance(found, dict) else ''

@pytest.mark.parametrize('name', LIMITS)
def test_limit(name, tmp_path, monkeypatch):
    "Each limit is held, says its number, and can be moved by its variable"
    picture(tmp_path/'a.png'), (tmp_path/'a.txt').write_text('abc'), (tmp_path/'a.xml').write_text('<a><b><c/></b></a>')
    pd.DataFrame(dict(a=[1, 2, 3])).to_parquet(tmp_path/'a.parquet')
    with zipfile.ZipFile(tmp_path/'a.zip', 'w', zipfile.ZIP_DEFLATED) as z:
        for n in ('a/b/c.png', 'a/b/d.png', 'a/b/e.png'): z.writestr(n, bytes(40_000_000 if name == 'max_ratio' else 9))
    monkeypatch.setenv('SRISC_MAX_RATIO', '100000')
    assert use(name, tmp_path) == '', name
    monkeypatch.setenv(f'SRISC_{name.upper()}', '2')
    why = use(name, tmp_path)
    assert re.search(r'are too many|are allowed|too much|no file that can be used', why) and re.search(r'(?<!\d)2(?!\d)|folders', why), why
    monkeypatch.setenv(f'SRISC_{name.upper()}', 'much')
    assert 'wanted a whole number above 0' in use(name, tmp_path)

def test_limits_are_told():
    "SECURITY.md states each limit with the number that holds"
    text = (ROOT/'SECURITY.md').read_text()
    for name, n in LIMITS.items(): assert re.search(rf'`SRISC_{name.upper()}` \| {n:,} \|', text), name
