"""Run notebooks and write their outputs back: `python tools/run_notebooks.py notebooks/*.ipynb`.

Only what the lesson shows is kept. Times, the Python version and the state of widgets would
change every file on every run.
"""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
os.environ["TQDM_DISABLE"] = "1"  # whether a progress bar appears is a matter of speed


def run(path: Path) -> None:
    """Execute one notebook in its own folder and replace the file; an error leaves it as it was."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        kernel_name=KERNEL["name"],
        resources={"metadata": {"path": path.parent}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
    ).execute()
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    nbformat.write(notebook, path)


for name in sys.argv[1:]:
    print(name, flush=True)
    run(Path(name))
