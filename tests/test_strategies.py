"""Each strategy on each kind of body, on 1 and on 3 channels; what cannot be is said with what would be valid."""
import os
import pytest
import numpy as np

ARCHS = ('tf_efficientnet_lite0', 'resnet18', 'convnext_atto', 'vit_tiny_patch16_224')
NAMES = ('full frozen half half_stats gradual discriminative layerwise fastai keep_stats lp_ft l2sp l2sp_all l2sp_fisher delta bss stochnorm ema lwf cotuning '
         'bituning with_source').split()

@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "A target of two classes, a source of three, and a checkpoint of each body that knows the source's classes"
    from srisc_tl.backbone import get_model, save_checkpoint
    from srisc_tl.build import build_corpus
    from srisc_tl.consolidate import load_zoo
    from test_regimes import invented
    tmp = tmp_path_factory.mktemp('strategies')
    zoo = load_zoo(invented(tmp, film=('film', 8, 'ab', False), weave=('textile', 12, 'abc', False)))
    target, source = (build_corpus(zoo, tmp/'corpora', n, datasets=[n], pack=(32,)) for n in ('film', 'weave'))
    save = lambda a, n_in: save_checkpoint(get_model(a, 3, n_in), tmp/f'{a}-{n_in}', dict(arch=a, n_in=n_in, classes=list(source.classes)))
    return dict(target=target, source=source, ckpts={a: save(a, 3) for a in ARCHS}, tmp=tmp)

def test_table_is_complete():
    from srisc_tl.finetune import STRATEGIES
    assert list(STRATEGIES) == NAMES

@pytest.mark.parametrize('arch', ARCHS)
@pytest.mark.parametrize('strategy', NAMES)
def test_runs(made, arch, strategy):
    import torch
    from srisc_tl.finetune import error_rates, finetune, predict
    n_in = 1 if (ARCHS.index(arch) + NAMES.index(strategy)) % 4 == 0 else 3
    learn = finetune(made['ckpts'][arch], made['target'], strategy, epochs=2 if strategy == 'gradual' else 1, size=32, bs=4, n_in=n_in, source=made['source'], tick=os.devnull)
    probs, y = predict(learn, made['target'])
    assert np.isfinite(probs).all() and 0 <= error_rates(probs, y)['error'] <= 1
    fresh = made['ckpts'][arch].state('body')
    moved = [k for k, v in learn.model[0].state_dict().items() if v.shape == fresh[k].shape and not torch.equal(v, fresh[k])]
    assert (moved == []) == (strategy == 'frozen')
    assert not any('forward' in vars(m) for m in learn.model.modules()) and all(p.requires_grad for p in learn.model.parameters())

BAD = dict( # what is wrong → arguments of finetune; what the error says
    unknown=(dict(strategy='magic'), "unknown strategy 'magic'; known: ['full', 'frozen'"),
    no_head=(dict(strategy='lwf', ckpt='headless'), 'needs the head of the source'),
    from_scratch=(dict(strategy='cotuning', ckpt=None), 'needs the head of the source'),
    no_source=(dict(strategy='with_source'), 'give `source`'),
    one_class=(dict(train='one'), 'one class only'),
)

@pytest.mark.parametrize('what', BAD)
def test_bad_input(made, what):
    from srisc_tl.backbone import get_model, save_checkpoint
    from srisc_tl.convention import DataError
    from srisc_tl.corpus import subset
    from srisc_tl.finetune import finetune
    args, says = BAD[what]
    args = dict(ckpt='resnet18', train='film', strategy='full') | args
    if args['ckpt'] == 'headless': args['ckpt'] = save_checkpoint(get_model('resnet18', 2), made['tmp']/'headless', dict(arch='resnet18', n_in=3))
    elif args['ckpt']: args['ckpt'] = made['ckpts'][args['ckpt']]
    args['train'] = subset(made['target'], classes=['film/a']) if args['train'] == 'one' else made['target']
    with pytest.raises(DataError) as e: finetune(**args, epochs=1, size=32)
    assert says in str(e.value)

def test_checkpoint_of_another_body(made):
    from dataclasses import replace
    from srisc_tl.convention import DataError
    from srisc_tl.finetune import finetune
    wrong = made['ckpts']['resnet18']
    with pytest.raises(DataError) as e: finetune(replace(wrong, record=dict(wrong.record, arch='convnext_atto')), made['target'], epochs=1, size=32)
    assert 'do not fit' in str(e.value)

def test_a_class_with_one_image(made):
    "Statistics of a class of one image are defined: every strategy that looks at classes runs"
    from dataclasses import replace
    from srisc_tl.finetune import finetune
    items = made['target'].items
    few = replace(made['target'], items=items[(items.cls == 'film/a') | (items.index == items.index[items.cls == 'film/b'][0])].reset_index(drop=True))
    for s in ('lp_ft', 'cotuning', 'delta', 'bituning'): finetune(made['ckpts']['resnet18'], few, s, epochs=1, size=32, bs=4, tick=os.devnull)
