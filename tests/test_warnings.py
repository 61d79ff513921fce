"""Warnings of what will stop working end a test where they are ours: in a module, in a page's cell; nowhere else."""
import pytest

WARN = 'import warnings; warnings.warn("old", {})'

@pytest.mark.parametrize('kind', [DeprecationWarning, PendingDeprecationWarning, FutureWarning], ids=lambda k: k.__name__)
@pytest.mark.parametrize('module', ['srisc_tl', 'srisc_tl.voc', '__main__'])
def test_ours_are_errors(kind, module):
    with pytest.raises(kind, match='old'): exec(WARN.format(kind.__name__), {'__name__': module})

def test_a_cell_of_a_page():
    from execnb.shell import CaptureShell
    shell = CaptureShell(mpl_format=None)
    shell.run(WARN.format('DeprecationWarning'))
    assert isinstance(shell.exc, DeprecationWarning)

def test_those_of_others_are_not():
    with pytest.warns(FutureWarning, match='old'): exec(WARN.format('FutureWarning'), {'__name__': 'srisc_tlx'})
