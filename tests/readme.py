"""README.md is index.ipynb: `make readme` writes it, test_sync compares it."""
import re
from repo import ROOT

TEXT = ('text/markdown', 'text/plain')
hidden = lambda d: 'hide' in d or 'export' in d or d.get('include') == 'false'

def text_outputs(outs):
    "Outputs that a README can hold: streams and text; a figure goes with the <Figure ...> line beside it"
    outs = [o for o in outs if not any(k.startswith('image/') for k in o.get('data', {}))]
    for o in outs:
        for k in [k for k in o.get('data', {}) if k not in TEXT]: o['data'].pop(k)
    return [o for o in outs if o['output_type'] == 'stream' or o.get('data')]

def shown(cell, directives):
    "The cell as the README shows it: without directive lines, maybe without its output"
    if directives.get('output') == 'false': cell['outputs'] = []
    if 'outputs' in cell: cell['outputs'] = text_outputs(cell['outputs'])
    cell['source'] = re.sub(r'^#[ \t]*\|.*\n?', '', cell['source'], flags=re.M).strip()
    return cell

def readme_text():
    "Markdown of index.ipynb, directives and hidden cells left out"
    import nbformat
    from nbconvert import MarkdownExporter
    from repo import cells
    nb = nbformat.read(ROOT/'index.ipynb', as_version=4)
    dirs = [c['directives'] for c in cells(ROOT/'index.ipynb')]
    nb.cells = [shown(c, d) for c, d in zip(nb.cells, dirs) if not hidden(d)]
    nb.metadata['language_info'] = {'name': 'python'}  # nbdev-clean drops it, and the fences are to say python
    md, _ = MarkdownExporter().from_notebook_node(nb)
    return re.sub(r'\n{3,}', '\n\n', md).strip() + '\n'

if __name__ == '__main__':
    (ROOT/'README.md').write_text(readme_text(), encoding='utf-8')
    print('README.md written from index.ipynb')
