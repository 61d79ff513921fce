"""Every real set after import, against counts that are made here from the raw folders by other means than the readers."""
import json, re
from collections import Counter
from pathlib import Path
import pytest

IMAGE = ('.bmp', '.jpeg', '.jpg', '.png', '.tiff')
parent = lambda p: p.parent.name
stem = lambda pattern: lambda p: re.match(pattern, p.stem)[1]
lines = lambda folder, column, name: {o.split()[column] for p in folder.rglob('*.txt') if re.search(name, p.as_posix()) for o in p.read_text().splitlines() if o.strip()}

def main_labels(folder):
    "Labels that are some image's main one: most shapes, then the largest area of their boxes, then the alphabet"
    area = lambda s: abs(s['points'][1][0] - s['points'][0][0])*abs(s['points'][1][1] - s['points'][0][1])
    res = set()
    for p in folder.rglob('*.json'):
        shapes = json.loads(p.read_text())['shapes']
        score = {k: (sum(s['label'] == k for s in shapes), sum(area(s) for s in shapes if s['label'] == k)) for k in sorted({s['label'] for s in shapes})}
        res.add(max(score, key=score.get) if score else 'normal')
    return res

# folder, dataset, what is an image of it (a pattern of paths), its classes (a function of an image path, or of the folder), images that cannot be used
SETS = [
    ('AC-Piston-Checks', 'ac_piston', r'\.jpeg$', parent),
    ('AITEX_TextileAI_Dataset', 'aitex', r'\.png$', lambda p: 'no_defect' in p.parts),
    ('Bottle-Inspection-System', 'cola_bottle', r'\.jpg$', lambda p: {'deformed': 'deformedbottle', 'label': 'labelnotstraight'}.get(n := re.match(r'[a-z_]+', p.stem.lower())[0], n)),
    ('Bridge_Crack_Image', 'bridge_crack', r'\.jpeg$', stem(r'(crack|no)')),
    ('DeepPCB', 'deeppcb', r'\.jpg$', lambda f: lines(f, 4, '_not/') | {'template'}),
    ('DeepPCB_crops_MercyFlesh', 'deeppcb_crops', r'\.jpg$', parent),
    ('Electronic-Components-Classification', 'electronic_components', r'\.(jpeg|png)$', parent),
    ('FabVision_SEM_test', 'sem_wafer', r'\.png$', parent),
    ('KolektorSDD_Yolov8', 'kolektor', r'\.jpg$', lambda f: {bool(p.read_text().strip()) for p in f.rglob('labels/*/*.txt')}),
    ('Magnetic-tile-defect-datasets', 'magnetic_tile', r'\.jpg$', lambda p: p.parts[-3]),
    ('Metal-Defects', 'gc10', r'\.jpeg$', parent),
    ('Mobile-Phone-Screen-Defect', 'phone_screen', r'defect_images/.*\.jpg$', stem(r'([A-Za-z]+)')),
    ('NEU-DET', 'neu_det', r'\.jpg$', stem(r'(.+)_\d+$')),
    ('PCB-Resistor-dataset', 'pcb_resistor', r'image/.*\.(jpg|JPG)$', lambda p: 'resistor'),
    ('Wafer-Defect-microscope', 'wafer_microscope', r'\.jpg$', lambda f: lines(f, 0, 'labels/')),
    ('casting_data', 'casting', r'\.jpeg$', parent),
    ('edge-ai-wafer-defect', 'wafer_web', r'\.png$', parent),
    ('electronic_components_bmp', 'components_bmp', r'\.bmp$', parent),
    ('elpv-dataset', 'elpv', r'\.png$', lambda f: {o.split()[1] for o in (f/'labels.csv').read_text().splitlines()}),
    ('fabric_stain', 'fabric_stain', r'\.jpg$', parent),
    ('goggles_label_real', 'goggles', r'\.jpeg$', main_labels),
    ('mvtec_bottle_split', 'mvtec_bottle', r'\.jpg$', parent),
    ('optical_film_dataset', 'optical_film', r'\.jpg$', parent),
    ('solder-joint-dataset', 'solder_joint', r'\.(png|tiff)$', parent),
    ('tiny-imagenet-200', 'tiny_imagenet', r'train/.*\.JPEG$', lambda p: p.parts[-3])]
BY_FOLDER = {'deeppcb', 'kolektor', 'wafer_microscope', 'elpv', 'goggles'} # their labels are in files, not in paths

@pytest.fixture(scope='module')
def zoo(real_zoo): return real_zoo[0]

@pytest.mark.parametrize('folder, name, image, cls', SETS, ids=[o[1] for o in SETS])
def test_counts_agree_with_the_raw_folder(folder, name, image, cls, zoo, shared_data):
    "As many images and classes as the folder has; each image's bytes are the raw file's"
    from srisc_tl.voc import load_voc
    raw = Path(shared_data, folder)
    files = [p for p in raw.rglob('*') if p.is_file() and re.search(image, p.relative_to(raw).as_posix())]
    df, facts = load_voc(zoo/name), json.loads((zoo/name/'dataset.json').read_text())
    classes = cls(raw) if name in BY_FOLDER else {cls(p) for p in files}
    assert (len(df), df['label'].nunique()) == (len(files), len(classes)), (sorted(df['label'].unique()), sorted(map(str, classes)))
    assert facts['images'] == len(df) and facts['counts'] == df['label'].value_counts().to_dict()
    assert Counter(p.stat().st_size for p in files) == Counter(Path(p).stat().st_size for p in df['path'])

def test_lists_what_was_left_out(real_zoo):
    "The list of fabric_stain names 150 images that are not there; no other set lacks anything"
    found = real_zoo[1].set_index('dataset')
    assert found['skipped'].to_dict() == dict.fromkeys(found.index, 0) | dict(fabric_stain=150, tiny_imagenet=found.loc['tiny_imagenet', 'skipped'])

def test_all_folders_are_in_the_table(shared_data):
    assert {o[0] for o in SETS} == {p.name for p in Path(shared_data).iterdir() if p.is_dir()}

@pytest.mark.parametrize('name', ['kolektor', 'deeppcb', 'neu_det', 'goggles', 'wafer_microscope', 'magnetic_tile', 'phone_screen', 'pcb_resistor'])
def test_defects_have_boxes(name, zoo):
    "Sets that say where a defect is give a box to each image that has one; masks are indexed and of the image's size"
    import numpy as np
    from PIL import Image
    from srisc_tl.voc import load_voc
    df = load_voc(zoo/name)
    boxed = df['boxes'].map(len) > 0
    bare = df[~boxed & ~df['label'].str.lower().isin(['normal', 'free'])]
    assert len(bare) == (3 if name == 'magnetic_tile' else 0), bare['path'].head().tolist()    # three of its masks are empty
    labels = json.loads((zoo/name/'dataset.json').read_text())['labels']
    for o in df[df['mask'] != ''].head(20).itertuples():
        m = Image.open(o.mask)
        assert m.mode == 'P' and m.size == (o.width, o.height) and set(np.unique(m)) <= {0, *range(1, len(labels) + 1)} and np.asarray(m).any()
