"""What the scripts of command-line clients share: running one in a home of its own."""

import os
import subprocess
import sys

from kit import ACCESS_KEY, REGION, SECRET, folder, shown

HOME = folder()
TOOLS = os.path.dirname(sys.executable)


def run(*arguments, gives=0, sends=None, environment=None):
    """Runs a command and gives its standard output; `gives` is the exit status that it must have."""
    inherited = {name: os.environ[name] for name in ["PATH", "AWS_CA_BUNDLE", "NO_PROXY"] if name in os.environ}
    own = {
        **inherited,
        "HOME": HOME,
        "LANG": "C.UTF-8",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        **(environment or {}),
    }
    done = subprocess.run(arguments, input=sends, capture_output=True, env=own, cwd=HOME, timeout=300)
    if done.returncode != gives:
        text = f"exit {done.returncode}, not {gives}\n{shown(done.stdout[-1500:])}\n{done.stderr[-3000:].decode(errors='replace')}"
        sys.exit(f"MISMATCH {' '.join(arguments)}: {text}")
    return done.stdout


def tree(root):
    """The files below a folder: names and bytes."""
    found = {}
    for where, _, names in os.walk(root):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, root)] = file.read()
    return found
