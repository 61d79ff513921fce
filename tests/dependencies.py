"""What the package needs, followed to the last library, from the metadata of what is installed: LICENSES.md, and a bill of materials in CycloneDX.

python tests/dependencies.py licenses          writes LICENSES.md
python tests/dependencies.py sbom FILE         writes CycloneDX 1.6 as JSON
python tests/dependencies.py oldest            prints what `make oldest` looks for the lowest versions of"""
import json, re, sys, uuid
from collections import deque
from datetime import datetime, timezone
from importlib.metadata import distribution
from packaging.requirements import Requirement
from repo import ROOT, settings

KNOWN = { # as libraries without a `License-Expression` write it → SPDX
    'Apache': 'Apache-2.0', 'Apache 2.0': 'Apache-2.0', 'Apache Software License': 'Apache-2.0', 'BSD': 'BSD-3-Clause', 'BSD License': 'BSD-3-Clause',
    'BSD 3-Clause License': 'BSD-3-Clause', 'MIT License': 'MIT', 'PSFL': 'PSF-2.0', 'Python Software Foundation License': 'PSF-2.0', 'ISC license': 'ISC',
    'ISC License': 'ISC', 'ISC License (ISCL)': 'ISC', 'Mozilla Public License 2.0 (MPL 2.0)': 'MPL-2.0', 'NVIDIA Proprietary Software': 'LicenseRef-NVIDIA-Proprietary',
    'GNU Lesser General Public License v3 or later (LGPLv3+)': 'LGPL-3.0-or-later'}
TOLD = {'cuda-toolkit': 'LicenseRef-NVIDIA-Proprietary'}   # whose metadata says nothing: a package without files of its own, that names NVIDIA's
FREE = {'0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'BSL-1.0', 'CC0-1.0', 'ISC', 'MIT', 'MIT-0', 'MIT-CMU', 'PSF-2.0', 'Unlicense', 'Zlib'}
NOTED = { # what an Apache-2.0 package may need, and why
    'MPL-2.0': 'copyleft file by file: files of that library which are changed and passed on stay under it',
    'LGPL-3.0-or-later': 'libvips with what it is built of, a library that is loaded while running; who passes it on lets it be replaced and offers its source',
    'LicenseRef-NVIDIA-Proprietary': "NVIDIA's CUDA libraries, which torch asks for on Linux; not free software, passed on under NVIDIA's terms only; a build of torch for the CPU does without"}

def name_of(text): return re.sub(r'[-_.]+', '-', text).lower()

def wanted(lines, extras=('',)):
    "Requirements that hold on this machine with these extras"
    reqs = map(Requirement, lines)
    return [r for r in reqs if r.marker is None or any(r.marker.evaluate({'extra': e}) for e in extras)]

def closure(lines):
    "{name: (its distribution, names of what it needs)} of all that some requirements lead to"
    found, seen, todo = {}, set(), deque((name_of(r.name), tuple(sorted(r.extras))) for r in wanted(lines))
    while todo:
        name, extras = todo.popleft()
        if (name, extras) in seen: continue
        seen.add((name, extras))
        dist = distribution(name)
        reqs = wanted(dist.requires or [], ('', *extras))
        todo += [(name_of(r.name), tuple(sorted(r.extras))) for r in reqs]
        found[name] = dist, sorted({name_of(r.name) for r in reqs} | set(found.get(name, (0, ()))[1]))
    return dict(sorted(found.items()))

def required(key='requirements'): return [o.strip() for o in settings()[key].splitlines() if o.strip()]

def license_of(dist):
    "SPDX expression of a distribution: its own expression, else its short field, else its classifiers; '' where that is not known here, or not to be needed"
    meta = dist.metadata
    classes = [c.split(' :: ')[-1] for c in meta.get_all('Classifier', []) if c.startswith('License ::')]
    short = KNOWN.get(o := (meta.get('License') or '').strip(), o)
    said = meta.get('License-Expression') or (short if allowed(short) else ' OR '.join(KNOWN.get(c, c) for c in classes)) or TOLD.get(name_of(meta['Name']), '')
    return said if allowed(said) and not any('General Public' in c and 'Lesser' not in c for c in classes) else ''

def allowed(expression): return bool(expression) and not set(parts(expression)) - FREE - set(NOTED)

def parts(expression): return [o for o in re.split(r'\s+(?:AND|OR)\s+|[()]', expression.replace(' WITH LLVM-exception', '')) if o]

def licenses_text(found):
    "LICENSES.md"
    rows = {n: (license_of(d), d.metadata.get('Summary', '').split('\n')[0]) for n, (d, _) in found.items()}
    own = {name_of(r.name) for r in wanted(required())}
    lines = [f"| {'**' + n + '**' if n in own else n} | {s or 'not stated'} |" for n, (s, _) in rows.items()]
    noted = [f"- **{k}** ({', '.join(n for n, (s, _) in rows.items() if k in parts(s))}): {why}." for k, why in NOTED.items()]
    return '\n'.join(['# Licences of what srisc_tl needs', '',
        'srisc_tl is under Apache-2.0 ([LICENSE](LICENSE)); its wheel holds no file of another. pip installs the libraries below with it: those that `settings.ini` asks for in bold,',
        'the others for them (Linux, Python 3.11, the versions of `constraints.txt`). Made by `make licenses` from the metadata of what is installed; a test ends where a licence is not known,',
        'or is none of those that an Apache-2.0 package may lean on. Versions are in the bill of materials that `make sbom` writes. Data sets and weights have licences of their own:',
        'see `srisc_tl.licenses` and the card of a checkpoint.', '', 'More than naming the authors is asked by', '', *noted, '', '| library | licence, SPDX |', '|---|---|', *lines, ''])

def component(name, dist):
    expression = license_of(dist)
    return {'type': 'library', 'bom-ref': f'pkg:pypi/{name}@{dist.version}', 'name': name, 'version': dist.version, 'purl': f'pkg:pypi/{name}@{dist.version}',
            **({'licenses': [{'expression': expression}]} if expression else {})}

def sbom(found):
    "CycloneDX 1.6: the package, all that it leads to, and who needs whom"
    cfg = settings()
    ref = lambda n: f'pkg:pypi/{n}@{found[n][0].version}'
    own = f"pkg:pypi/{name_of(cfg['lib_name'])}@{cfg['version']}"
    top = {'type': 'library', 'bom-ref': own, 'name': cfg['lib_name'], 'version': cfg['version'], 'purl': own, 'licenses': [{'expression': cfg['license']}]}
    needs = {own: sorted(ref(name_of(r.name)) for r in wanted(required()))} | {ref(n): [ref(o) for o in more] for n, (_, more) in found.items()}
    return {'$schema': 'http://cyclonedx.org/schema/bom-1.6.schema.json', 'bomFormat': 'CycloneDX', 'specVersion': '1.6', 'serialNumber': f'urn:uuid:{uuid.uuid4()}', 'version': 1,
            'metadata': {'timestamp': datetime.now(timezone.utc).isoformat(timespec='seconds'), 'component': top},
            'components': [component(n, d) for n, (d, _) in found.items()],
            'dependencies': [{'ref': k, 'dependsOn': v} for k, v in needs.items()]}

if __name__ == '__main__':
    what, *to = sys.argv[1:] or ['']
    found = closure(required()) if what in ('licenses', 'sbom') else {}
    if what == 'licenses': (ROOT/'LICENSES.md').write_text(licenses_text(found), encoding='utf-8')
    elif what == 'oldest': print('\n'.join(o for k in ('requirements', 'export_requirements', 'dense_requirements') for o in required(k)))
    elif what == 'sbom':
        path = ROOT/to[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(sbom(found), indent=1) + '\n', encoding='utf-8')
        print(f'{path}: {len(found)} libraries')
    else: sys.exit(__doc__)
