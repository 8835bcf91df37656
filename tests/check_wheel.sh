#!/usr/bin/env bash
# Builds the sdist and the wheel and uses the wheel, alone in an empty environment and far from the checkout.
# PYTHON builds; WHEEL_PYTHON, by default the same, is the interpreter that the wheel is installed into.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
radiograph=$("$python" -c 'from pydicom.data import get_testdata_file as f; print(f("RG1_UNCR.dcm", download=False))')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The wheel of a release is built from its sdist, that of `pip install .` from the checkout: they are one file.
"$python" -m build --outdir "$work/dist" . >/dev/null
"$python" -m build --wheel --outdir "$work/checkout" . >/dev/null
cmp "$work"/dist/*.whl "$work"/checkout/*.whl
"$python" -m twine check --strict "$work"/dist/*
megabytes=$((($(wc -c <"$work/dist/"*.whl) + 500000) / 1000000))
grep -q "wheel is $megabytes MB" README.md || { echo "README.md: the wheel is $megabytes MB" >&2; exit 1; }
# A release has no other source than its sdist, so nothing that is tracked may be missing there.
if [ -e .git ]; then
	tar -tzf "$work"/dist/*.tar.gz | sed 's|^[^/]*/||' | sort >"$work/packed"
	missing=$(git ls-files | sort | comm -23 - "$work/packed")
	[ -z "$missing" ] || { printf 'not in the sdist:\n%s\n' "$missing" >&2; exit 1; }
fi

"$python" -c 'import sys; from pathlib import Path; from tests.phantoms import write_plain_set
write_plain_set(Path(sys.argv[1]), count=8)' "$work/plain"
"${WHEEL_PYTHON:-$python}" -m venv "$work/env"
"$work/env/bin/pip" install --quiet "$work"/dist/*.whl

cd "$work"
unset PYTHONPATH
export XDG_CACHE_HOME=$work/cache
"$work/env/bin/pip" check
"$work/env/bin/lungmask" preprocess plain -o set --size 64 --split 4/2/2
"$work/env/bin/lungmask" train set -o run --image-size 64 --epochs 1 --batch-size 2 --device cpu # two steps
"$work/env/bin/lungmask-cxr" segment "$radiograph" -o masks
"$work/env/bin/lungmask" segment plain/images -o drawn --weights run
"$work/env/bin/lungmask" score drawn plain/masks -o scores.csv
"$work/env/bin/python" -m lungmask_cli --version
"$work/env/bin/python" - <<'PYTHON'
import csv
import lungmask_cli, numpy as np
from PIL import Image

assert "env" in lungmask_cli.__file__, lungmask_cli.__file__
share = (np.asarray(Image.open("masks/RG1_UNCR.png")) > 0).mean()
assert 0.2 < share < 0.4, f"lungs cover {share:.3f} of the demo radiograph"
with open("scores.csv") as file:
    assert len(list(csv.DictReader(file))) >= 8, "a pair is missing in scores.csv"
print(f"wheel: ok, lungs cover {share:.3f} of the radiograph")
PYTHON
