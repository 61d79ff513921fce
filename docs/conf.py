"""Sphinx's settings of the site."""
import sys
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent/'tests')]
from build import sidebar
from repo import LIB, settings

project, author, release = settings()['lib_name'], settings()['author'], settings()['version']
copyright = author
html_title = project
extensions = ['myst_nb', 'sphinx.ext.viewcode']
nb_execution_mode = 'off'
nb_ipywidgets_js = {}
myst_enable_extensions = ['dollarmath', 'colon_fence']
viewcode_follow_imported_members = False  # would import the modules, torch with them
html_math_renderer = 'mathml'
add_module_names = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
exclude_patterns = ['.doctrees', 'nbs/**/.ipynb_checkpoints']
templates_path = ['_templates']
html_static_path = ['_static']
html_css_files = ['site.css']
html_theme = 'pydata_sphinx_theme'
html_copy_source = html_show_sourcelink = False
html_sidebars = {'**': ['rooms.html']}
html_context = dict(parts=sidebar())  # the theme's own way resolves all names for each page, a third of the time that Sphinx takes
html_theme_options = dict(
    navbar_start=['navbar-logo'], navbar_center=[], navbar_persistent=['search-button-field'], navbar_end=['theme-switcher'], logo=dict(text=project), search_as_you_type=True,
    show_toc_level=2, secondary_sidebar_items=['page-toc'], footer_start=['copyright'], footer_end=[], article_header_start=['breadcrumbs'])

def mathml(block):
    "Formulas as MathML, which browsers draw without a script"
    def visit(self, node):
        from docutils import nodes
        from latex2mathml.converter import convert
        self.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>' if block else convert(node.astext()))
        raise nodes.SkipNode
    return visit

@cache
def module_text(name):
    "A module's text and where its definitions stand, read without importing it"
    from sphinx.pycode import ModuleAnalyzer
    path = LIB/f"{name.removeprefix('srisc_tl.')}.py"
    code = path.read_text(encoding='utf-8')
    found = ModuleAnalyzer.for_string(code, name)
    found.find_tags()
    return code, found.tags

def setup(app):
    app.add_html_math_renderer('mathml', (mathml(False), None), (mathml(True), None))
    app.connect('viewcode-find-source', lambda app, name: module_text(name))
