"""The widgets as a person meets them: in JupyterLab, in a real browser, by mouse and keyboard."""
import contextlib, importlib.util, json, os, shutil, socket, subprocess, sys, time
from pathlib import Path
from urllib.request import urlopen
import pytest

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
pytestmark = [pytest.mark.skipif(not CHROMIUM, reason='no chromium: apt-get install chromium'),
              pytest.mark.skipif(not importlib.util.find_spec('playwright'), reason='no playwright: pip install -e ".[dev]"')]
FLAGS = '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'.split()
OPEN = '''from pathlib import Path
from srisc_tl.build import load_corpus
from srisc_tl.widgets import corpus_browser
from srisc_tl.picker import class_picker
from srisc_tl.explorer import weights_explorer, run_explorer
from srisc_tl.cleaner import label_cleaner
root = {p.name.rsplit('-', 1)[0]: p for p in Path('corpora').iterdir()}
source, film = (load_corpus(root[n]) for n in ('srisc', 'film'))'''
CELLS = [OPEN, 'b = corpus_browser(source, n=12); b', 'p = class_picker(source, film); p',
         'e = weights_explorer({c: 1 + i for i, c in enumerate(source.classes)}, source); e', "r = run_explorer('results.db'); r",
         "c = label_cleaner(film.items.assign(guess=film.items.label.iloc[0], p_given=.1, p_guess=.8, loss=2.3), 'labels.csv'); c"]

@pytest.fixture(scope='module')
def desk(tmp_path_factory):
    "A folder with an invented source, a target, trials, and a notebook that shows all widgets"
    from dataclasses import asdict
    import nbformat
    import numpy as np
    from srisc_tl.build import build_corpus
    from srisc_tl.consolidate import load_zoo
    from srisc_tl.convention import Dataset
    from srisc_tl.experiment import Store, get_trials
    from srisc_tl.standardise import standardise
    from srisc_tl.synth_zoo import synth_declarations, synth_zoo
    tmp, names = tmp_path_factory.mktemp('desk'), ['syn_film_crop', 'syn_weave', 'syn_board_crop']
    synth_zoo(tmp/'raw', scale=.25, datasets=names, n_jobs=1)
    for n in names: standardise(Dataset(**synth_declarations()[n]), tmp/'raw', tmp/'zoo')
    build_corpus(load_zoo(tmp/'zoo'), tmp/'corpora', 'srisc', exclude=names[:1]), build_corpus(load_zoo(tmp/'zoo'), tmp/'corpora', 'film', datasets=names[:1])
    store, rng, level = Store(tmp/'results.db'), np.random.default_rng(0), dict(imagenet=.2, sequential=.1, scratch=.4)
    for t in get_trials('regimes', ['bottle', 'film'], regimes=list(level)):
        store.append(dict(key=t.key, **asdict(t), status='ok', error=level[t.regime] + rng.normal(0, .01), seconds=1.))
    nb = nbformat.v4.new_notebook(metadata=dict(kernelspec=dict(name='python3', display_name='python3', language='python')))
    nb.cells = [nbformat.v4.new_code_cell(c) for c in CELLS]
    nbformat.write(nb, tmp/'look.ipynb')
    return tmp

@pytest.fixture(scope='module')
def lab(desk):
    "The notebook in JupyterLab, all cells run: a page of the browser"
    from playwright.sync_api import sync_playwright
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    home = desk/'home'
    env = os.environ | dict(JUPYTER_CONFIG_DIR=str(home/'config'), JUPYTER_DATA_DIR=str(home/'data'), JUPYTER_RUNTIME_DIR=str(home/'run'), IPYTHONDIR=str(home/'ipython'))
    quiet = ['--ServerApp.password=', '--IdentityProvider.token=', '--LabApp.news_url=', '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate']
    with open(desk/'lab.log', 'w') as log:
        server = subprocess.Popen([sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root', '--ip=127.0.0.1', f'--port={port}', f'--ServerApp.root_dir={desk}', *quiet],
                                  cwd=desk, env=env, stdout=log, stderr=log)
    try:
        for _ in range(120):
            with contextlib.suppress(OSError): urlopen(f'http://127.0.0.1:{port}/api', timeout=2).close(); break
            assert server.poll() is None, (desk/'lab.log').read_text()
            time.sleep(.5)
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = browser.new_page(viewport=dict(width=1400, height=3000))
            page.set_default_timeout(120_000)
            page.goto(f'http://127.0.0.1:{port}/lab/tree/look.ipynb?reset')
            page.wait_for_selector('.jp-Notebook'), page.wait_for_selector('text=| Idle')  # what is run before the kernel is there, is lost
            page.click('.lm-MenuBar-itemLabel >> text=Run'), page.click('text=Run All Cells')
            page.wait_for_selector('text=trials finished'), page.wait_for_selector('text=labels changed')
            yield page
            browser.close()
    finally:
        server.terminate()
        server.wait(30)

def part(page, i): return page.locator('.jp-CodeCell').nth(i) # a cell of the notebook

def test_corpus_browser(lab):
    cell = part(lab, 1)
    assert cell.locator('.jp-OutputArea-output img').count() == 12
    cell.locator('select').nth(1).select_option(label='syn_weave')                     # dataset, by mouse
    lab.wait_for_function("t => ![...document.querySelectorAll('.jp-CodeCell')][1].innerText.includes(t)", arg='syn_board_crop/')
    assert 'syn_weave/' in cell.inner_text()
    first = cell.locator('.jp-OutputArea-output img').first.get_attribute('src')
    cell.locator('button', has_text='▶').click()
    lab.wait_for_function("s => [...document.querySelectorAll('.jp-CodeCell')][1].querySelector('.jp-OutputArea-output img').src !== s", arg=first)
    assert cell.locator('input[type=number]').first.input_value() == '2'
    word = cell.locator('input[placeholder="part of a file name"]')
    word.fill('no such name'), word.press('Enter')                                     # by keyboard
    lab.wait_for_selector('text=No image fits')
    word.fill(''), word.press('Enter')

def test_class_picker(lab, desk):
    cell = part(lab, 2)
    cell.locator('select[multiple]').first.select_option(index=[0, 1])
    cell.locator('button', has_text='take').click()
    lab.wait_for_selector('text=/^2 of \\d+ classes/')
    cell.locator('button', has_text='save').click()
    lab.wait_for_selector('text=are in syn_film_crop.json')
    taken = json.loads((desk/'syn_film_crop.json').read_text())['syn_film_crop']
    assert len(taken) == 2 and all('/' in c for c in taken)

def test_weights_explorer(lab):
    cell = part(lab, 3)
    before = cell.locator('.widget-html').first.inner_text()
    assert 'worth' in before
    handle = cell.locator('.noUi-handle').nth(1)                                       # λ
    handle.focus()
    for _ in range(3): handle.press('ArrowLeft')
    lab.wait_for_function("t => [...document.querySelectorAll('.jp-CodeCell')][3].querySelector('.widget-html').innerText !== t", arg=before)
    number = lambda t: int(t.split('worth ')[1].split(' ')[0].replace(',', ''))
    assert number(cell.locator('.widget-html').first.inner_text()) > number(before)    # nearer to uniform, more images

def test_run_explorer(lab):
    cell = part(lab, 4)
    assert 'ImageNet → SRISC is below ImageNet on 2 of 2 targets' in cell.inner_text()
    cell.locator('select').nth(2).select_option(label='From scratch')
    lab.wait_for_selector('text=ImageNet → SRISC is below From scratch on 2 of 2 targets')

def test_label_cleaner(lab, desk):
    import pandas as pd
    cell = part(lab, 5)
    assert cell.locator('.jp-OutputArea-output img').count() == 12
    picks = cell.locator('select')
    picks.nth(1).select_option(label='leave out')                                      # the first card, by mouse
    picks.nth(2).select_option(index=1)
    lab.wait_for_selector('text=/^2 of \\d+ labels changed/')
    page = cell.locator('input[type=number]').first
    page.fill('2'), page.press('Enter')                                                # by keyboard
    lab.wait_for_function("() => [...document.querySelectorAll('.jp-CodeCell')][5].querySelectorAll('select')[1].value === 'keep'")
    cell.locator('button', has_text='save').click()
    lab.wait_for_selector('text=2 corrections are in labels.csv')
    fixed = pd.read_csv(desk/'labels.csv', keep_default_na=False)
    assert len(fixed) == 2 and sorted(fixed.label == '') == [False, True] and (fixed.label != fixed.was).all()
    if shots := os.environ.get('SRISC_SHOTS'): lab.screenshot(path=Path(shots)/'widgets.png', full_page=True)
