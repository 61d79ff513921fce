"""Layouts of public sets, held against the real mirrors of them that shared/data has."""
from pathlib import Path
import pytest

# dataset, files that its published layout does not know (the mirror's own)
REAL = [('magnetic_tile', ''), ('elpv', ''), ('deeppcb', ''), ('casting', '/new__0_'), ('neu_det', 'Validation_')]

@pytest.mark.parametrize('name, own', REAL, ids=[o[0] for o in REAL])
def test_real_downloads_have_the_published_layout(name, own, shared_data):
    "Every image and annotation of a real download is where its layout wants it; what is not is known by name"
    from srisc_tl.convention import DATASETS
    from srisc_tl.public import check_layout
    root = Path(shared_data, DATASETS[name].folder)
    found = check_layout(name, root)
    assert (found.files[found.kind != 'unknown'] > 0).all(), found
    assert found.files.sum() == sum(p.is_file() for p in root.rglob('*'))
    expected = sum(bool(own) and own in p.as_posix() for p in root.rglob('*') if p.is_file())
    assert found.set_index('kind').files['unknown'] == expected, found
