"""Package metadata from settings.ini, the one place where it stands."""
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

ini = ConfigParser(delimiters=['='])
ini.read(Path(__file__).parent/'settings.ini', encoding='utf-8')
cfg = ini['DEFAULT']
lines = lambda key: [o.strip() for o in cfg.get(key, '').splitlines() if o.strip()]

setup(
    name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], license=cfg['license'],
    author=cfg['author'], author_email=cfg['author_email'], keywords=[o.strip() for o in cfg['keywords'].split(',')],
    long_description=(Path(__file__).parent/'README.md').read_text(encoding='utf-8'), long_description_content_type='text/markdown',
    python_requires=f">={cfg['min_python']}", packages=find_packages(include=['srisc_tl', 'srisc_tl.*']),
    include_package_data=True, package_data={'srisc_tl': ['*.toml', '*.csv', 'py.typed']},
    classifiers=['Development Status :: 3 - Alpha', 'Intended Audience :: Science/Research', 'Intended Audience :: Manufacturing',
                 'Programming Language :: Python :: 3', 'Typing :: Typed', 'Topic :: Scientific/Engineering :: Image Recognition'],
    install_requires=lines('requirements'), extras_require={k.removesuffix('_requirements'): lines(k) for k in cfg if k.endswith('_requirements')},
    entry_points={'console_scripts': lines('console_scripts'), 'nbdev': ['srisc_tl=srisc_tl._modidx:d']},
)
