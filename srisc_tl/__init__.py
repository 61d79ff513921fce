__version__ = "0.1.0"

import warnings
# fastai 2.8 warns of its own use of torch.jit while it is imported; nothing a user could do about it
warnings.filterwarnings('ignore', message='`torch.jit.script` is deprecated', category=FutureWarning)
