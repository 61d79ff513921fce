"""What a test must not touch: every file that is opened, listed or changed is seen, and held against the folders where that is allowed."""
import os, sys
from contextlib import contextmanager
from repo import ROOT

WATCH = []              # the list that events go to; no list: not watched
EVENTS = {'open', 'os.listdir', 'os.scandir', 'os.link', 'os.symlink', 'os.mkdir', 'os.remove', 'os.rename', 'os.rmdir', 'os.truncate',
          'os.chmod', 'shutil.copyfile', 'socket.connect', 'subprocess.Popen', 'os.system', 'urllib.Request'}

FD = {'os.remove': (1,), 'os.rmdir': (1,), 'os.mkdir': (2,), 'os.chmod': (2,), 'os.rename': (2, 3), 'os.link': (2, 3), 'os.symlink': (2,)}

def _hook(event, args):
    if not WATCH or event not in EVENTS: return
    at = [args[i] for i in FD.get(event, ()) if i < len(args)]                    # names may be relative to open folders
    base = [os.readlink(f'/proc/self/fd/{d}') if isinstance(d, int) and d >= 0 else '' for d in at]
    named = [base and isinstance(a, (str, bytes, os.PathLike)) for a in args]
    whole = (os.path.join(base[min(i, len(base) - 1)], os.fsdecode(a)) if named[i] else a for i, a in enumerate(args))
    WATCH[-1].append((event, tuple(whole)))
sys.addaudithook(_hook)

def _writes(event, args):
    "Whether an event may change something"
    if event != 'open': return event not in ('os.listdir', 'os.scandir')
    mode, flag = args[1], args[2]
    return any(c in (mode or '') for c in 'wax+') or bool((flag or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))

SYSTEM = [os.path.realpath(p) for p in (sys.prefix, sys.base_prefix, ROOT, '/usr', '/lib', '/etc', '/proc', '/sys', '/dev')]

@contextmanager
def only(reads, writes):
    "Assert that only files below `reads` and `writes` are opened, only those below `writes` changed, no process or connection started"
    WATCH.append([])
    try: yield WATCH[-1]
    finally: seen = WATCH.pop()
    below = lambda p, roots: any(os.path.commonpath([p, r]) == r for r in roots)
    reads, writes = ([os.path.realpath(p) for p in ps] for ps in (reads, writes))
    for event, args in seen:
        assert event not in ('socket.connect', 'subprocess.Popen', 'os.system', 'urllib.Request'), (event, args)
        paths = args[:2] if event in ('os.link', 'os.rename', 'os.symlink', 'shutil.copyfile') else args[:1]
        for i, p in enumerate(paths):
            if p is None or isinstance(p, int): continue
            p = os.fsdecode(p)
            if event == 'open' and not os.path.isabs(p) and not _writes(event, args): continue            # rmtree, from folder to folder
            real = os.path.realpath(p)
            if event not in ('open', 'os.listdir', 'os.scandir'):               # it is about the name, not what a link there points to
                real = os.path.join(os.path.realpath(os.path.dirname(p)), os.path.basename(p))
            source = i == 0 and event in ('os.link', 'shutil.copyfile')
            allowed = writes if _writes(event, args) and not source else writes + reads + SYSTEM
            assert below(real, allowed), f'{event} of {p}'
