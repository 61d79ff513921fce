"""Bad input: a clear DataError, or a counted, listed skip. Nothing outside of the dataset is read or written, and nothing is lost."""
import hashlib, io, json, os, random, re, stat, struct, tarfile, tempfile, time, unicodedata, zipfile, zlib
from pathlib import Path
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image

from sandbox import only
from srisc_tl.coco import READERS
from srisc_tl.convention import DataError, Dataset, load_items
from srisc_tl.fetch import open_raw
from srisc_tl.probe import probe
from srisc_tl.standardise import read_items, standardise

SUFFIXES = {'.bmp', '.gif', '.jp2', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp'}
SECRET = 'CANARY-4c1f'  # text outside of the dataset that must not come in

# ---- what is opened

def test_the_watch_sees(tmp_path):
    "The proof is worth something: opening, listing, linking and writing elsewhere are seen"
    (tmp_path/'in').mkdir(); (tmp_path/'out.txt').write_text('x'); (tmp_path/'in/link').symlink_to(tmp_path/'out.txt')
    acts = [lambda: (tmp_path/'out.txt').read_text(), lambda: (tmp_path/'in/link').read_text(), lambda: os.listdir(tmp_path),
            lambda: (tmp_path/'in/new').write_text(''), lambda: os.link(tmp_path/'out.txt', tmp_path/'in/hard'),
            lambda: os.open(tmp_path/'out.txt', os.O_RDONLY), lambda: Image.open(tmp_path/'in/../out.txt')]
    for act in acts:
        with pytest.raises(AssertionError), only([tmp_path/'in'], []):
            try: act()
            except OSError: pass
    with only([tmp_path/'in'], [tmp_path/'zoo']): (tmp_path/'in').is_dir()

# ---- a dataset, and what lies beside it

def picture(path, seed=0, wh=(64, 48), mode='L', **kw):
    "An invented image file"
    path.parent.mkdir(parents=True, exist_ok=True)
    a = np.random.default_rng(seed).integers(1, 256, (wh[1], wh[0]), dtype=np.uint8)
    Image.fromarray(a).convert(mode).save(path, **kw)
    return path

class Place:
    "A raw folder with four good images of two classes, a zoo, a temporary folder, and outside of them files that must not be touched"
    def __init__(self, base):
        self.raw, self.zoo, self.tmp, self.out = (base/n for n in ('raw', 'zoo', 'tmp', 'outside'))
        for p in (self.raw, self.zoo, self.tmp, self.out): p.mkdir()
        for i in range(4): picture(self.raw/f'{("dust", "pit")[i % 2]}/good{i}.png', i)
        picture(self.out/'canary.png', 99)
        for name in ('canary.txt', 'canary.xml', 'canary.json', 'canary.csv', 'canary.yaml'): (self.out/name).write_text(SECRET)
        self.canary = hashlib.sha256((self.out/'canary.png').read_bytes()).hexdigest()
        for p in self.out.iterdir(): os.utime(p, (p.stat().st_mtime - 9e4, p.stat().st_mtime))  # the next read shows, also with relatime
        self.before = self.state()

    def state(self): return {p: (s.st_mtime_ns, s.st_size, s.st_nlink, s.st_atime_ns) for p in self.out.rglob('*') for s in [p.stat()]}

    def run(self, reader='folder', args=None, **kw):
        "Items and skips of a declaration, standardised as well, all watched; the error's text when there is one"
        ds = Dataset('film', 'film', reader, args or {}, **kw)
        with only([self.raw], [self.zoo, self.tmp]):
            try:
                items, skipped = read_items(ds, self.raw)
                made = standardise(ds, self.raw, self.zoo)
            except DataError as e: return None, None, str(e)
        assert sum(m['images'] for m in made) == len(items)
        self.check(items)
        return items, skipped.assign(path=skipped['path'].map(self.rel)), ''

    def rel(self, p): return os.path.relpath(os.path.join(self.raw, p), self.raw)

    def check(self, items):
        "What came into the zoo is what is in the dataset; what lies outside is as it was, not even read"
        assert self.state() == self.before
        for p in self.zoo.rglob('*'):
            if p.is_file():
                data = p.read_bytes()
                assert SECRET.encode() not in data and hashlib.sha256(data).hexdigest() != self.canary, p
        assert sorted(load_items(self.zoo/'film/items.parquet')['sha256']) == sorted(items['sha256'])

    def files(self):
        "Image files of the dataset that are not hidden; links to folders not followed"
        return {self.rel(os.path.join(d, f)) for d, _, fs in os.walk(self.raw) for f in fs
                if not f.startswith('.') and os.path.splitext(f)[1].lower() in SUFFIXES}

    def account(self, items, skipped, also=()):
        "Every image file is an item or a listed skip, not both, and no path stands there that is neither file nor named"
        used, left = [self.rel(p) for p in items['path']], set(skipped['path'])
        assert len(used) == len(set(used))
        whole = set(skipped.loc[~skipped['reason'].str.contains('box|only|outline|twice'), 'path'])
        assert not set(used) & whole, set(used) & whole
        assert self.files() <= set(used) | left, self.files() - set(used) - left
        assert (skipped['reason'].str.len() > 4).all()

@pytest.fixture
def place(tmp_path, monkeypatch):
    p = Place(tmp_path)
    monkeypatch.setattr(tempfile, 'tempdir', str(p.tmp))
    return p

# ---- bad images

def png_chunks(*chunks):
    "A PNG of these chunks"
    one = lambda kind, data: struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    return b'\x89PNG\r\n\x1a\n' + b''.join(one(k, d) for k, d in chunks)

def png_bomb(w, h):
    "A PNG of w x h black pixels: small as a file, large in memory"
    rows = zlib.compress(bytes(w + 1)*min(h, 4000) if w*h < 10**8 else b'', 9)
    return png_chunks((b'IHDR', struct.pack('>IIBBBBB', w, h, 8, 0, 0, 0, 0)), (b'IDAT', rows), (b'IEND', b''))

def bmp_bomb(w, h):
    return b'BM' + struct.pack('<IHHI', 154, 0, 0, 54) + struct.pack('<IiiHHIIiiII', 40, w, h, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(100)

def gif_bomb(w, h):
    return b'GIF89a' + struct.pack('<HH', w, h) + b'\x80\0\0' + bytes(6) + b',' + struct.pack('<HHHH', 0, 0, w, h) + b'\0\x02\x02L\x01\0;'

def test_broken_images(place):
    "Garbage, cut, empty and wrongly named files: those that are images are used, the others listed"
    rng = random.Random(0)
    for suffix in ('bmp', 'gif', 'jpg', 'png', 'ppm', 'tif', 'webp', 'jp2'):
        whole = picture(place.tmp/f'x.{suffix}', 7, (120, 90)).read_bytes()
        (place.raw/f'dust/cut.{suffix}').write_bytes(whole[:len(whole)//3])
        (place.raw/f'dust/empty.{suffix}').write_bytes(b'')
        (place.raw/f'dust/garbage.{suffix}').write_bytes(rng.randbytes(5000))
        (place.raw/f'dust/page.{suffix}').write_text('<html><body>404 not found</body></html>')
    (place.raw/'pit/really_jpeg.png').write_bytes(picture(place.tmp/'y.jpg', 8).read_bytes())
    (place.raw/'pit/really_bmp.tiff').write_bytes(picture(place.tmp/'y.bmp', 9).read_bytes())
    (place.raw/'pit/program.png').write_bytes(b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n(%pipe%touch pwned) (w) file\n')
    items, skipped, _ = place.run()
    place.account(items, skipped)
    assert {Path(p).name for p in items['path']} >= {*(f'good{i}.png' for i in range(4)), 'really_jpeg.png', 'really_bmp.tiff'}
    assert len(skipped) >= 31 and len(items) + len(skipped) == len(place.files())  # one cut format may still decode
    assert 'dust/empty.png' in set(skipped['path'])

def test_bombs(place):
    "A few bytes that claim a billion pixels are refused by their header: fast, and in little memory"
    for name, bomb in dict(png=png_bomb, bmp=bmp_bomb, gif=gif_bomb).items():
        (place.raw/f'dust/bomb.{name}').write_bytes(bomb(60_000, 60_000))
    (place.raw/'dust/huge.ppm').write_bytes(b'P6 99999 99999 255\n')
    import resource
    start, memory = time.time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    items, skipped, _ = place.run()
    assert time.time() - start < 20 and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 300_000
    place.account(items, skipped)
    assert len(items) == 4 and len(skipped) == 4

XML = ('<annotation><object><name>{name}</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>20</xmax><ymax>20</ymax></bndbox></object>'
       '</annotation>')

def test_xml_attacks(place):
    "Entities that grow, and entities that name files, are refused; what they name does not come in"
    doc = lambda entities, name: f'<!DOCTYPE a [{entities}]>' + XML.format(name=name)
    entity = lambda url: doc(f'<!ENTITY x SYSTEM "{url}">', '&x;')
    laughs = '<!ENTITY x0 "ha">' + ''.join(f'<!ENTITY x{i} "{f"&x{i - 1};"*10}">' for i in range(1, 12))
    files = dict(good=XML.format(name='dust'), laughs=doc(laughs, '&x11;'), quadratic=doc(f'<!ENTITY x "{"y"*100_000}">', '&x;'*1000),
                 file=entity(f'file://{place.out}/canary.txt'), plain=entity(f'{place.out}/canary.txt'),
                 relative=entity('../outside/canary.txt'), http=entity('http://127.0.0.1:9/x'),
                 parameter=f'<!DOCTYPE a [<!ENTITY % x SYSTEM "file://{place.out}/canary.xml"> %x;]>' + XML.format(name='pit'),
                 outside_dtd=f'<!DOCTYPE a SYSTEM "file://{place.out}/canary.xml">' + XML.format(name='pit'), deep='<a>'*200_000)
    for i, (name, text) in enumerate(files.items()):
        picture(place.raw/f'marked/{name}.png', 20 + i)
        (place.raw/f'marked/{name}.xml').write_text(text)
    start = time.time()
    items, skipped, error = place.run('sidecar', dict(images=r'^marked/(?P<stem>.*)\.png$', sidecar=r'marked/\g<stem>.xml', parse='voc'))
    assert not error and time.time() - start < 20, error
    place.account(items, skipped)
    assert {Path(p).stem for p in items['path']} <= {'good', 'outside_dtd'}

# ---- paths that leave

def listed(p, *lines, **kw):
    "A list of two good images and these lines"
    (p.raw/'t.csv').write_text('\n'.join(['dust/good0.png,a', *lines, 'pit/good1.png,b']))
    return 'csv', dict(table='t.csv') | kw

def linked(p, name, to, reader='folder', **args):
    "A link in the dataset"
    (p.raw/name).symlink_to(to)
    return reader, args

def coco(p):
    "A COCO file of one good image and two outside"
    images = [dict(id=i, file_name=f) for i, f in enumerate(['../outside/canary.png', 'dust/good0.png', f'{p.out}/canary.png'])]
    notes = [dict(image_id=i, category_id=1, bbox=[2, 2, 9, 9]) for i in range(3)]
    (p.raw/'c.json').write_text(json.dumps(dict(images=images, categories=[dict(id=1, name='a')], annotations=notes)))
    return 'coco', dict(table='c.json')

def named(p):
    "YOLO files whose class names lie outside"
    (p.raw/'n.txt').write_text('0 .5 .5 .5 .5')
    return 'sidecar', dict(images=r'^(?P<label>\w+)/', sidecar='n.txt', parse='yolo', names='../outside/canary.yaml')

STEM, LABEL = r'^(?P<label>\w+)/(?P<stem>\w+)\.png$', r'^(?P<label>\w+)/'
LEAVING = { # name -> function of a place: reader, arguments; each names the canary in its own way
    'csv_dots': lambda p: listed(p, '../outside/canary.png,b'),
    'csv_absolute': lambda p: listed(p, f'{p.out}/canary.png,b'),
    'csv_windows': lambda p: listed(p, '..\\outside\\canary.png,b'),
    'csv_null': lambda p: listed(p, 'dust/good0.png\0,b'),
    'csv_base': lambda p: listed(p, 'canary.png,b', base='../outside'),
    'csv_itself': lambda p: ('csv', dict(table='../outside/canary.csv')),
    'csv_itself_absolute': lambda p: ('csv', dict(table=f'{p.out}/canary.csv')),
    'csv_link': lambda p: linked(p, 't.csv', p.out/'canary.csv', 'csv', table='t.csv'),
    'image_link': lambda p: linked(p, 'dust/link.png', p.out/'canary.png'),
    'folder_link': lambda p: linked(p, 'linked', p.out),
    'dead_link': lambda p: linked(p, 'dust/dead.png', p.raw/'nowhere.png'),
    'root': lambda p: ('folder', dict(root='../outside')),
    'mask': lambda p: ('masks', dict(images=STEM, mask='../outside/canary.png')),
    'mask_link': lambda p: linked(p, 'm.png', p.out/'canary.png', 'masks', images=STEM, mask='m.png'),
    'sidecar': lambda p: ('sidecar', dict(images=LABEL, sidecar='../outside/canary.xml', parse='voc')),
    'sidecar_link': lambda p: linked(p, 's.json', p.out/'canary.json', 'sidecar', images=LABEL, sidecar='s.json', parse='labelme'),
    'names': named,
    'coco_file': coco,
    'coco_itself': lambda p: ('coco', dict(table='../outside/canary.json')),
}

@pytest.mark.parametrize('name', LEAVING)
def test_paths_that_leave(name, place):
    "What a list, a link, a template or a declaration names outside is not opened; it is listed, or the declaration refused"
    items, skipped, error = place.run(*LEAVING[name](place))
    if error:
        assert any(w in error for w in ('outside', 'lead', 'no list', 'no class names', 'no mask file')), error
        return
    place.account(items, skipped)
    assert all(Path(p).is_relative_to(place.raw) for p in items['path'])
    if name in ('csv_dots', 'csv_absolute', 'csv_windows'): assert len(items) == 2 and skipped['path'].str.contains('canary').sum() == 1
    if name in ('image_link', 'dead_link'): assert len(items) == 4 and len(skipped) == 1

def test_link_loops(place):
    "Links that lead in circles end nothing, and are not followed"
    (place.raw/'dust/self').symlink_to(place.raw/'dust')
    (place.raw/'dust/up').symlink_to(place.raw)
    (place.raw/'dust/a.png').symlink_to(place.raw/'dust/b.png')
    (place.raw/'dust/b.png').symlink_to(place.raw/'dust/a.png')
    items, skipped, error = place.run()
    assert not error
    place.account(items, skipped)
    assert len(items) == 4 and {'dust/a.png', 'dust/b.png'} <= set(skipped['path'])

# ---- archives

def tar_of(path, name, kind=tarfile.REGTYPE, link=''):
    "A tar of a good image and one hostile member"
    with tarfile.open(path, 'w:gz') as t:
        for n, k, data in (('dust/good.png', tarfile.REGTYPE, png_bomb(30, 20)), (name, kind, b'evil' if kind == tarfile.REGTYPE else b'')):
            m = tarfile.TarInfo(n)
            m.type, m.linkname, m.size, m.mode = k, link, len(data), 0o4777
            t.addfile(m, io.BytesIO(data))

def zip_of(path, name, mode=0o644):
    "A zip of a good image and one hostile member"
    with zipfile.ZipFile(path, 'w') as z:
        z.writestr('dust/good.png', png_bomb(30, 20))
        m = zipfile.ZipInfo(name)
        m.external_attr = mode << 16
        z.writestr(m, b'../../outside/canary.txt')

@pytest.mark.parametrize('name', ['../evil.png', '/tmp/evil-4c1f.png', 'a/../../evil.png', '..', 'C:\\evil.png', '..\\evil.png'])
@pytest.mark.parametrize('kind', ['tar', 'zip'])
def test_archive_members_that_leave(kind, name, place):
    "The archive is refused with the member's name, and nothing of it stays anywhere"
    archive = place.raw/f'film.{"tar.gz" if kind == "tar" else "zip"}'
    (tar_of if kind == 'tar' else zip_of)(archive, name)
    with only([place.raw], [place.zoo, place.tmp]), pytest.raises(DataError, match='evil' if 'evil' in name else r'\.\.'):
        with open_raw(archive): pass
    assert not list(place.tmp.iterdir()) and not list(place.raw.parent.glob('evil*')) and not Path('/tmp/evil-4c1f.png').exists()

@pytest.mark.parametrize('kind', [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_archive_links_and_devices(kind, place):
    "So are links and devices, and the file that would be written through a link"
    tar_of(place.raw/'film.tgz', 'dust/evil.png', kind, str(place.out/'canary.txt'))
    zip_of(place.raw/'film.zip', 'dust/evil.png', stat.S_IFLNK | 0o777)
    for name in ('film.tgz', 'film.zip'):
        with only([place.raw], [place.zoo, place.tmp]), pytest.raises(DataError, match='evil'):
            with open_raw(place.raw/name): pass
    assert not list(place.tmp.iterdir()) and place.state() == place.before

# ---- names

def test_names(place):
    "Any name that a file can have is a name"
    names = ['기포/불량 (1).png', '기포/불량 [2].png', 'dust/' + 'x'*196 + '.png', 'dust/' + '기'*80 + '.png', 'dust/A.png', 'dust/a.png',
             'Dust/a.png', 'dust/a.PNG', 'dust/.dot..dot.png', "dust/it's \"q\" & <b>.png", 'dust/100%.png', 'dust/-rf.png', 'dust/~.png',
             'dust/$HOME.png', 'dust/a;b|c.png', 'CON/nul.png',
             *(unicodedata.normalize(form, 'dust/é.png') for form in ('NFC', 'NFD'))]
    for i, n in enumerate(names): picture(place.raw/n, 50 + i)
    items, skipped, error = place.run()
    assert not error
    place.account(items, skipped)
    hidden = 1                                                             # '.dot..dot.png' is hidden
    assert len(items) + len(skipped) + hidden >= 4 + len(names) and len(items) >= 4 + len(names) - 2
    zoo = load_items(place.zoo/'film/items.parquet')
    assert len({p.casefold() for p in zoo['path']}) == len(zoo) and all(Path(p).is_file() for p in zoo['path'])
    assert len({p.name for p in (place.zoo/'film/JPEGImages').iterdir()}) == len(zoo)

def test_control_characters(place):
    "A line break in a name breaks no list"
    picture(place.raw/'dust/line\nbreak.png', 1)
    picture(place.raw/'pit/tab\there.png', 2)
    items, skipped, error = place.run()
    assert not error
    place.account(items, skipped)
    for f in (place.zoo/'film/ImageSets/Main').glob('*.txt'):
        assert all(len(line.split()) in (1, 2) for line in f.read_text().splitlines()), f

# ---- boxes, masks, lists

BAD_BOXES = dict(outside=[70, 60, 90, 80], empty=[5, 5, 5, 9], reversed=[30, 30, 10, 10], nan=[float('nan'), 1, 9, 9],
                 infinite=[1, 1, float('inf'), 9], negative=[-9, -9, -1, -1])
TAGS = 'xmin', 'ymin', 'xmax', 'ymax'
MARKED = dict(images=r'^marked/(?P<stem>.*)\.png$', sidecar=r'marked/\g<stem>.txt', names={'0': 'dust'})
WRITE = { # format -> how boxes [x0, y0, x1, y1] of a 64 x 48 image are written
    'yolo': lambda bs: '\n'.join(f'0 {(b[0] + b[2])/128} {(b[1] + b[3])/96} {(b[2] - b[0])/64} {(b[3] - b[1])/48}' for b in bs),
    'xyxy': lambda bs: '\n'.join(' '.join(map(str, [*b, 'dust'])) for b in bs),
    'voc': lambda bs: '<annotation>' + ''.join('<object><name>dust</name><bndbox>' + ''.join(f'<{t}>{v}</{t}>' for t, v in zip(TAGS, b)) +
                                               '</bndbox></object>' for b in bs) + '</annotation>',
    'labelme': lambda bs: json.dumps(dict(shapes=[dict(label='dust', shape_type='rectangle', points=[b[:2], b[2:]]) for b in bs])),
}

@pytest.mark.parametrize('parse', WRITE)
def test_bad_boxes(parse, place):
    "A bad box is left out and listed, its image and the good box beside it stay; no box of the zoo is bad"
    for i, (name, b) in enumerate(BAD_BOXES.items()):
        picture(place.raw/f'marked/{name}.png', 30 + i)
        (place.raw/f'marked/{name}.txt').write_text(WRITE[parse]([[4, 5, 20, 25], b]))
    items, skipped, error = place.run('sidecar', MARKED | dict(parse=parse))
    assert not error, error
    place.account(items, skipped)
    for row in items.itertuples():
        for label, x0, y0, x1, y1 in row.boxes: assert label == 'dust' and 0 <= x0 < x1 <= 64 and 0 <= y0 < y1 <= 48
    both = {Path(p).stem for p, b in zip(items['path'], items['boxes']) if len(b) == 2}
    assert len(items) + len(set(skipped['path']) - set(map(place.rel, items['path']))) == len(place.files())
    assert both <= {'reversed'} and (parse == 'labelme' or not both), both     # labelme's rectangles may be drawn from any corner

def test_bad_masks(place):
    "A mask of another size, a broken one and none at all"
    for i in range(6): picture(place.raw/f'img/{i}.png', i, (64, 48))
    spot = np.zeros((48, 64), np.uint8); spot[10:20, 10:30] = 255
    (place.raw/'gt').mkdir()
    for i, m in enumerate([spot, spot[:40], spot.T]): Image.fromarray(m).save(place.raw/f'gt/{i}.png')
    bad = {3: b'no mask', 4: png_bomb(60_000, 60_000), 9: (place.raw/'gt/0.png').read_bytes()}
    for i, data in bad.items(): (place.raw/f'gt/{i}.png').write_bytes(data)
    items, skipped, error = place.run('masks', dict(images=r'^(?P<label>img)/(?P<stem>\d+)\.png$', mask=r'gt/\g<stem>.png'))
    assert not error, error
    assert {Path(p).stem for p in items['path']} <= {'0', '5'} and '0' in {Path(p).stem for p in items['path']}
    reasons = dict(zip(skipped['path'], skipped['reason']))
    assert '64' in reasons['img/1.png'] and '48' in reasons['img/1.png'] and 'gt/9.png' in reasons
    used = set(map(place.rel, items['path'])) | set(reasons)
    assert {f'img/{i}.png' for i in range(6)} <= used

@pytest.mark.parametrize('text, args, says', [
    ('file,label\ndust/good0.png,a\n', dict(header=True, path='file', label='klass'), 'klass'),
    ('dust/good0.png\npit/good1.png\n', dict(label=1), '1'),
    ('', {}, ''), ('\n\n\n', {}, ''), ('file;label\ndust/good0.png;a\n', dict(sep=',', header=True, path='file', label='label'), 'label'),
])
def test_csv_without_its_columns(text, args, says, place):
    "The error names the file, the column that is wanted and those that are there"
    (place.raw/'t.csv').write_text(text)
    items, skipped, error = place.run('csv', dict(table='t.csv') | args)
    if error: assert 't.csv' in error and says in error
    else: assert not text.strip()

# ---- ten thousand bad files and lines

def hurt_bytes(data, rng, heads):
    "A file's bytes, damaged: bits, length, header, blocks"
    b = bytearray(data)
    kind = rng.randrange(8)
    if kind == 0: b = b[:rng.randrange(len(b))]
    elif kind == 1: b[:rng.randrange(2, 24)] = rng.choice(heads)[:rng.randrange(2, 24)]
    elif kind == 2: i = rng.randrange(len(b)); b[i:i + rng.randrange(1, 64)] = rng.randbytes(rng.randrange(64))
    elif kind == 3: i = rng.randrange(len(b)); b[i:i + 40] = bytes(40)
    elif kind == 4: b = bytearray(rng.choice([b'', b'\xff'*9, rng.choice(heads), rng.randbytes(200)]))
    for _ in range(rng.choice([1, 3, 20]) if b and kind > 3 else 0):
        i = rng.randrange(min(len(b), rng.choice([32, 200, len(b)])))
        b[i] ^= 1 << rng.randrange(8)
    return bytes(b)

def test_4000_bad_images(tmp_path):
    "Each is an item or has a reason"
    rng, whole = random.Random(1), []
    stored = dict(L='bmp gif jp2 jpg png ppm tif webp', RGB='bmp jpg png tif webp', P='gif png', RGBA='png webp', CMYK='jpg tif')
    for mode, suffixes in stored.items():
        whole += [picture(tmp_path/f'whole/x{mode}.{s}', 3, (32, 24), mode).read_bytes() for s in suffixes.split()]
    heads, good, reasons = [w[:64] for w in whole], 0, {}
    for i in range(4000):
        path = tmp_path/f'{i % 40}.{("png", "jpg", "tif")[i % 3]}'
        path.write_bytes(hurt_bytes(rng.choice(whole), rng, heads))
        facts = probe(path, tmp_path, max_pixels=10**6)
        assert ('reason' in facts) != ('width' in facts), facts
        if 'reason' in facts: reasons[i] = facts['reason']; assert len(reasons[i]) > 4
        else: good += 1; assert facts['width'] > 0 and len(facts['sha256']) == 64
    assert good + len(reasons) == 4000 and good > 300 and len(reasons) > 1500

VALUES = ['nan', 'inf', '-inf', '1e999', '-1', '0', '', ' ', 'abc', '9'*400, '0x1f', '１２', '1,5', '1_0', 'null', 'None', 'true', '[]', '{}',
          '"', "'", '<', '&', '&x;', '\0', '\x1b[2J', '\ufeff', '\ud7ff', '🙂', '../../outside/canary.png', '/etc/passwd', 'dust/good0.png',
          '-0.0', '1e-320', '.', '..', '99999999999999999999', '\t', '\r', '\u2028', '%s', '{0}', '\\', '$(x)']
SWAPS = [('\n', '\r\n'), ('\n', '\r'), (',', ';'), (' ', '\t'), ('"', "'"), ('<', '&lt;'), ('0', ''), ('[', '[['), ('[', '['*2000),
         ('[', '['*120_000)]

def hurt_text(text, rng):
    "Lines of a label file, damaged: values, characters, lines, length, encoding"
    for _ in range(rng.choice([1, 1, 2, 5])):
        kind = rng.randrange(9)
        spans = [m.span() for m in re.finditer(r'[\w.\-]+', text)] or [(0, 0)]
        a, b = rng.choice(spans)
        i, j = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
        if kind < 3: text = text[:a] + rng.choice(VALUES) + text[b:]
        elif kind == 3: text = text[:i] + text[i + 1:]
        elif kind == 4: text = text[:i]
        elif kind == 5: text = text[:i] + rng.choice(VALUES) + text[i:]
        elif kind == 6: lines = text.split('\n'); rng.shuffle(lines); text = '\n'.join(lines)
        elif kind == 7: text = text[:j] + text[i:j] + text[j:]
        else: old, new = rng.choice(SWAPS); text = text.replace(old, new, 10**7//max(1, len(new)))  # two of the long ones would fill the memory
    data = text.encode(rng.choice(['utf-8', 'utf-8', 'utf-8', 'utf-8-sig', 'utf-16', 'utf-8']), 'surrogatepass')
    return data if rng.random() < .9 else data + rng.randbytes(20)

def ask(reader, root, **args):
    "Rows of a reader, or None with a DataError; each row has a path, and a reason or a label, which may be empty: then that is the reason"
    try: rows = READERS[reader](root, **args)
    except DataError as e:
        assert len(str(e)) > 10
        return None
    for r in rows: assert r['path'] and (r.get('reason') or 'label' in r), r
    return rows

@pytest.mark.parametrize('parse', WRITE)
def test_3200_bad_annotations(parse, place):
    "800 damaged files of each format: every image is an item or a listed skip"
    rng, n = random.Random(parse), 800
    whole = WRITE[parse]([[4, 5, 20, 25], [30, 10, 50, 40]])
    first = picture(place.raw/'marked/0000.png', 5, (64, 48))
    for i in range(n):
        if i: os.link(first, place.raw/f'marked/{i:04}.png')
        (place.raw/f'marked/{i:04}.txt').write_bytes(hurt_text(whole, rng))
    ds = Dataset('film', 'film', 'sidecar', MARKED | dict(parse=parse, normal='normal'))
    with only([place.raw], [place.zoo, place.tmp]): items, skipped = read_items(ds, place.raw)
    used, left = set(map(place.rel, items['path'])), set(map(place.rel, skipped['path']))
    assert used | left == place.files() and len(items) > n/10 and len(left - used) > n/10
    for b in (o for row in items['boxes'] for o in row): assert 0 <= b[1] < b[3] <= 64 and 0 <= b[2] < b[4] <= 48
    assert place.state() == place.before

FOUR = [(i, k, f'{k}/good{i}.png') for i, k in enumerate(('dust', 'pit', 'dust', 'pit'))]
OUTLINES = [[[2, 3, 22, 3, 22, 13]], dict(size=[48, 64], counts=[100, 20, 2952])]
COCO = dict(images=[dict(id=i, file_name=p, width=64, height=48) for i, _, p in FOUR],
            categories=[dict(id=1, name='a'), dict(id=2, name='b')],
            annotations=[dict(id=i, image_id=i, category_id=1 + i % 2, bbox=[2, 3, 20, 10], iscrowd=i % 2, area=200,
                              segmentation=OUTLINES[i % 2]) for i in range(4)])
LISTS = { # name -> file, its good text, reader and arguments
    'csv': ('t.csv', 'file,label,split\n' + ''.join(f'{p},{k},train\n' for _, k, p in FOUR), 'csv',
            dict(table='t.csv', header=True, path='file', label='label')),
    'words': ('t.txt', ''.join(f'{p}  {i}.5  mono\n' for i, _, p in FOUR), 'csv', dict(table='t.txt', sep=r'\s+')),
    'rle': ('t.csv', 'ImageId,ClassId,EncodedPixels\ngood0.png,1,5 10 60 10\ngood2.png,3,1 4\ngood2.png,4,700 9\n', 'rle_csv',
            dict(table='t.csv', base='dust')),
    'coco': ('c.json', json.dumps(COCO), 'coco', dict(table='c.json')),
    'names': ('n.yaml', 'path: .\nnc: 2\nnames:\n  0: dust\n  1: pit\n', 'sidecar',
              dict(images=r'^\w+/(?P<stem>\w+)\.png$', sidecar=r'\g<stem>.txt', parse='yolo', names='n.yaml', normal='ok')),
}

@pytest.mark.parametrize('name', LISTS)
def test_2800_bad_lists(name, place):
    "560 damaged lists of each kind: a clear error for the whole list, or every image and every line is accounted for"
    rng, (file, whole, reader, args) = random.Random(name), LISTS[name]
    for i in range(4): (place.raw/f'good{i}.txt').write_text(f'{i % 2} .5 .5 .2 .2\n')
    refused, used = 0, 0
    with only([place.raw], [place.raw, place.zoo, place.tmp]):
        for _ in range(560):
            (place.raw/file).write_bytes(hurt_text(whole, rng))
            rows = ask(reader, place.raw, **args)
            refused += rows is None
            if rows is None: continue
            paths = [place.rel(r['path']) for r in rows]
            assert place.files() <= set(paths) | ({f'pit/good{i}.png' for i in (1, 3)} if name == 'rle' else set()), set(paths)
            good = [p for p, r in zip(paths, rows) if not r.get('reason')]
            assert set(good) <= place.files(), set(good) - place.files()
            used += len(good)
    assert place.state() == place.before and used > 150

def test_1000_lines(place):
    "Each line of a list is an item or a skip that names it: missing, leaving, doubled, without a label, without a path"
    rng, want, lines = random.Random(2), {}, []
    first = picture(place.raw/'many/0.png', 3)
    for i in range(1, 1000): os.link(first, place.raw/f'many/{i}.png')
    kinds = dict(good='many/{i}.png;dust', gone='many/gone{i}.png;dust', leaves='../outside/gone{i}.png;dust', bare='many/{i}.png',
                 blank='many/{i}.png;', absolute='/etc/gone{i}.png;pit', nothing=';dust{i}', wide='many/{i}.png;pit;more;x{i}')
    for i in range(1000):
        want[i] = rng.choice([*kinds, 'good', 'good'])
        lines.append(kinds[want[i]].format(i=i))
    (place.raw/'list.txt').write_text('\n'.join(lines))
    items, skipped, error = place.run('csv', dict(table='list.txt', sep=';', header=False))
    assert not error, error
    place.account(items, skipped)
    used = {Path(p).stem for p in items['path']}
    assert used == {str(i) for i, k in want.items() if k in ('good', 'wide')}
    said = ' '.join(skipped['path'] + ' ' + skipped['reason'])
    for i, k in want.items():
        if k in ('gone', 'leaves', 'absolute'): assert f'gone{i}.png' in said, (i, k)
        if k in ('bare', 'blank'): assert f'many/{i}.png' in set(skipped['path']), (i, k)
        if k == 'nothing': assert f'dust{i}' in said, (i, k)

@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_text_is_a_label_file(text):
    "Whatever stands in the file: a row with a label or a reason"
    with tempfile.TemporaryDirectory() as d:
        root = Path(d)
        picture(root/'a.png')
        (root/'a.txt').write_bytes(text.encode(errors='surrogatepass'))
        for parse in WRITE:
            rows = ask('sidecar', root, images=r'^(?P<stem>a)\.png$', sidecar=r'\g<stem>.txt', parse=parse, normal='normal')
            assert [Path(r['path']).name for r in rows] == ['a.png']
        for reader, args in (('csv', dict(table='a.txt')), ('csv', dict(table='a.txt', sep=r'\s+')), ('coco', dict(table='a.txt'))):
            rows = ask(reader, root, **args)
            assert rows is None or 'a.png' in {Path(r['path']).name for r in rows}

LETTERS = st.characters(blacklist_characters='/\0', blacklist_categories=['Cs'])
FILE_NAMES = st.text(LETTERS, min_size=1, max_size=60).filter(lambda s: s not in ('.', '..') and len(s.encode()) < 200)

@given(st.lists(FILE_NAMES, min_size=1, max_size=5, unique=True), FILE_NAMES)
@settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_name_is_a_file(names, label):
    "Whatever a file and its folder are called: all that is not hidden is an item or a listed skip, and the zoo reads back"
    with tempfile.TemporaryDirectory() as d:
        root = Path(d)/'raw'
        picture(root/'plain/x.png', 1)
        for i, n in enumerate(names): picture(root/label/f'x{n}.png', 2 + i)
        items, skipped = read_items(Dataset('film', 'film', 'folder'), root)
        hidden = label.startswith('.')
        assert len(items) + len(skipped) == 1 + len(names)*(not hidden) or label == 'plain', (len(items), skipped.values.tolist())
        standardise(Dataset('film', 'film', 'folder'), root, Path(d)/'zoo')
        assert len(load_items(Path(d)/'zoo/film/items.parquet')) == len(items)
