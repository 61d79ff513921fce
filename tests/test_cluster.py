"""One study through one process, joblib's own workers, dask's and Ray's: identical tables."""
import os
from contextlib import contextmanager
import pytest

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
    return get_trials('regimes', name, seeds=range(5), per_class=4, regimes=['scratch'], arch='test_resnet', size=32, epochs=1), run

def rows(df): return df.sort_values('key').set_index('key')[['target', 'seed', 'status', 'error', 'macro_error', 'valid_error', 'n_train', 'n_test']]

@pytest.fixture(scope='module')
def alone(study, tmp_path_factory):
    "What one process finds: four results that differ, and a failure"
    from srisc_tl.experiment import Store, run_study
    found = rows(run_study(*study, Store(tmp_path_factory.mktemp('alone')/'results.db')))
    assert (found.status == 'ok').sum() == 4 and found.error.nunique() > 1
    return found

@contextmanager
def dask():
    distributed = pytest.importorskip('distributed', reason='needs dask: pip install "srisc_tl[cluster]"')
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, distributed.Client(cluster): yield

@contextmanager
def ray():
    ray = pytest.importorskip('ray', reason='needs Ray: pip install "srisc_tl[ray]"')
    from ray.util.joblib import register_ray
    register_ray()
    env = {k: os.environ[k] for k in ('PYTHONPATH', 'OMP_NUM_THREADS') if k in os.environ}
    for left in (2, 1, 0):                                  # a node has 30 seconds to start, which a busy machine may not give it
        try: ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={'env_vars': env})
        except Exception as e:
            ray.shutdown()
            if 'timed out during startup' not in str(e): raise
            if not left: pytest.skip("Ray's node did not start within its 30 s on this machine, three times")
        else: break
    try: yield
    finally: ray.shutdown()

@contextmanager
def loky(): yield

@pytest.mark.slow
@pytest.mark.parametrize('cluster', [loky, dask, ray], ids=lambda f: f.__name__)
def test_the_same_table(cluster, study, alone, tmp_path):
    import joblib
    from srisc_tl.experiment import Store, run_study
    with cluster(), joblib.parallel_config(backend=cluster.__name__):
        found = rows(run_study(*study, Store(tmp_path/'results.db'), n_jobs=2))
    assert found.equals(alone)
