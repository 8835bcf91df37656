#!/usr/bin/env bash
# Builds the wheel, installs it alone into an empty environment, and segments a radiograph far from the checkout.
set -euo pipefail
python=${PYTHON:-python3}
radiograph=$("$python" -c 'from pydicom.data import get_testdata_file as f; print(f("RG1_UNCR.dcm", download=False))')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m build --wheel --outdir "$work/dist" . >/dev/null
"$python" -m venv "$work/env"
"$work/env/bin/pip" install --quiet "$work"/dist/*.whl

cd "$work"
unset PYTHONPATH
"$work/env/bin/lungmask-cxr" segment "$radiograph" -o masks
"$work/env/bin/python" -m lungmask_cli --version
"$work/env/bin/python" - <<'PYTHON'
import lungmask_cli, numpy as np
from PIL import Image

assert "env" in lungmask_cli.__file__, lungmask_cli.__file__
share = (np.asarray(Image.open("masks/RG1_UNCR.png")) > 0).mean()
assert 0.2 < share < 0.4, f"lungs cover {share:.3f} of the demo radiograph"
print(f"wheel: ok, lungs cover {share:.3f} of the radiograph")
PYTHON
