"""What the package needs: licences known and fit for an Apache-2.0 package, LICENSES.md as the metadata says, a bill of materials that holds together."""
import re
from email.message import Message
from importlib.metadata import distribution
from types import SimpleNamespace
import pytest
from dependencies import NOTED, closure, license_of, licenses_text, name_of, parts, required, sbom, wanted
from repo import ROOT

@pytest.fixture(scope='module')
def found(): return closure(required())

def test_all_licenses_are_known(found):
    odd = {n: str(d.metadata.get('License-Expression') or d.metadata.get('License'))[:80] for n, (d, _) in found.items() if not license_of(d)}
    assert not odd, f'a licence that is not known, or none that an Apache-2.0 package may need: {odd}; if it may, say so in tests/dependencies.py'

def fake(name='x', **fields):
    meta = Message()
    for k, vs in (dict(Name=name) | fields).items():
        for v in vs if isinstance(vs, list) else [vs]: meta[k.replace('_', '-')] = v
    return SimpleNamespace(metadata=meta)

@pytest.mark.parametrize('fields, want', [
    (dict(License_Expression='MIT AND (Apache-2.0 OR BSD-2-Clause)'), 'MIT AND (Apache-2.0 OR BSD-2-Clause)'), (dict(License='BSD'), 'BSD-3-Clause'),
    (dict(License='UNKNOWN', Classifier=['License :: OSI Approved :: ISC License (ISCL)']), 'ISC'), (dict(), ''), (dict(License='ask us'), ''),
    (dict(License_Expression='GPL-3.0-only'), ''), (dict(License_Expression='MIT AND AGPL-3.0-only'), ''),
    (dict(License_Expression='GPL-3.0-only', Classifier=['License :: OSI Approved :: MIT License']), ''),
    (dict(License='MIT', Classifier=['License :: OSI Approved :: GNU General Public License v3 (GPLv3)']), ''),
    (dict(Classifier=['License :: OSI Approved :: MIT License', 'License :: Other/Proprietary License']), '')])
def test_license_of(fields, want): assert license_of(fake(**fields)) == want

def test_licenses_md(found):
    pinned = re.search(r'^torch==([\d.]+)', (ROOT/'constraints.txt').read_text(), re.M)[1]
    if (here := distribution('torch').version.split('+')[0]) != pinned: pytest.skip(f'LICENSES.md is of the versions of constraints.txt (torch {pinned}); here is {here}')
    row = lambda text: dict(re.findall(r'^\| \**([\w.-]+?)\** \| (.+?) \|$', text.partition('|---|---|')[2], re.M))
    said, now = row((ROOT/'LICENSES.md').read_text(encoding='utf-8')), row(licenses_text(found))
    assert len(now) == len(found) and now.items() <= said.items(), f'`make licenses`, then read what changed: {sorted(now.items() - said.items())}'
    assert all(f'**{k}**' in (ROOT/'LICENSES.md').read_text(encoding='utf-8') for k in NOTED)

def test_closure(found):
    own = {name_of(r.name) for r in wanted(required())}
    assert own < set(found) and all(set(needs) <= set(found) for _, needs in found.values())
    assert 'pyvips-binary' in found                                   # by an extra of a requirement
    assert 'pytest' not in found and 'colorama' not in found          # a tool of ours; of another system
    assert parts('(MIT OR X) AND Y WITH LLVM-exception') == ['MIT', 'X', 'Y']

def test_sbom(found):
    bom = sbom(found)
    refs, needs = [c['bom-ref'] for c in bom['components']], {d['ref']: d['dependsOn'] for d in bom['dependencies']}
    top = bom['metadata']['component']['bom-ref']
    assert len(refs) == len(set(refs)) == len(found) and set(needs) == {top, *refs} and set().union(*needs.values()) == set(refs)
    assert bom['bomFormat'] == 'CycloneDX' and all(c['licenses'] and c['version'] for c in bom['components'])
