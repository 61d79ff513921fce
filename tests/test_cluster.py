"""Trials on other processes than joblib's own: the same call through dask, the same table."""
import importlib.util
import pytest

pytestmark = pytest.mark.skipif(not importlib.util.find_spec('distributed'), reason='needs dask: pip install "srisc_tl[cluster]"')

@pytest.fixture(scope='module')
def target(tmp_path_factory):
    "An invented set, built"
    from srisc_tl.build import build_corpus
    from srisc_tl.consolidate import load_zoo
    from srisc_tl.convention import Dataset
    from srisc_tl.standardise import standardise
    from srisc_tl.synth_zoo import synth_declarations, synth_zoo
    tmp = tmp_path_factory.mktemp('cluster')
    synth_zoo(tmp/'raw', scale=.25, datasets=['syn_film_crop'], n_jobs=1)
    standardise(Dataset(**synth_declarations()['syn_film_crop']), tmp/'raw', tmp/'zoo')
    return build_corpus(load_zoo(tmp/'zoo'), tmp/'corpora', 'syn_film_crop', datasets=['syn_film_crop'], pack=(32,))

@pytest.fixture(scope='module')
def study(target):
    "Four trainings from scratch, and one that cannot start"
    from srisc_tl.chain import Run, Settings
    from srisc_tl.convention import DataError
    from srisc_tl.experiment import get_trials
    name = 'syn_film_crop'
    starts = {('scratch', name, k): '' for k in range(4)} | {('scratch', name, 4): DataError('no checkpoint of this seed')}
    run = Run(starts, {name: str(target.items.root.iloc[0])}, Settings((name,)))
    return get_trials('regimes', name, seeds=range(5), per_class=4, regimes=['scratch'], arch='test_resnet', size=32, epochs=2), run

def rows(df): return df.sort_values('key').set_index('key')[['target', 'seed', 'status', 'error', 'macro_error', 'valid_error', 'n_train', 'n_test']]

@pytest.mark.slow
def test_dask_gives_the_same_table(study, tmp_path):
    import joblib
    from distributed import Client, LocalCluster
    from srisc_tl.experiment import Store, run_study
    trials, run = study
    alone = rows(run_study(trials, run, Store(tmp_path/'alone.db')))
    assert (alone.status == 'ok').sum() == 4 and alone.error.nunique() > 1
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        with joblib.parallel_config(backend='dask'): found = rows(run_study(trials, run, Store(tmp_path/'dask.db'), n_jobs=2))
        with joblib.parallel_config(backend='dask'): assert rows(run_study(trials, run, Store(tmp_path/'dask.db'), n_jobs=2)).error.notna().sum() == 4
    assert found.equals(alone)
