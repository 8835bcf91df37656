"""Checks of a DICOM header: files to reject, warnings, and the pixel spacing.

No message quotes text from the file: names, identifiers and dates must not reach tables and logs.
"""

import re
from pathlib import Path
from typing import Any

from lungmask_cli.errors import ImageError
from lungmask_cli.imaging.radiograph import Spacing, make_spacing

_RADIOGRAPH_MODALITIES = frozenset({"CR", "DX", "RG"})  # RG: digitised film
_UNSPECIFIC_MODALITIES = frozenset({"", "OT", "SC", "RF"})
_OTHER_MODALITIES = {
    "CT": "a CT; this tool is for radiographs, the tool for CT is the PyPI package lungmask",
    "MR": "an MR image",
    "US": "an ultrasound image",
    "NM": "a nuclear medicine image",
    "PT": "a PET image",
    "MG": "a mammogram",
    "XA": "an angiogram",
    "IO": "a dental radiograph",
    "PX": "a panoramic dental radiograph",
}
# The other standard modalities (PS3.3 C.7.3.1.1.1), which share one message.
_NO_RADIOGRAPHS = (
    "AR BDUS BI BMD DG DOC ECG EEG ES FID GM HC IVOCT IVUS KER KO LEN LS OAM OCT OP OPM OPT OPV OSS PLAN PR REG RESP "
    "RTDOSE RTIMAGE RTPLAN RTRECORD RTSTRUCT SEG SM SMR SR STAIN TG VA XC"
)
# Storage classes that imply a modality even if the element Modality is missing: CT, enhanced CT, MR, enhanced MR.
_MODALITY_OF_CLASS = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",
}
_HINT = "Give frontal chest radiographs (CR or DX)."
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
_LATERAL_VIEWS = frozenset({"LL", "RL", "LLD", "RLD", "LAT", "LATERAL"})
# View codes of CID 4010: right lateral, left lateral, lateral, in SNOMED CT and in the older SNOMED RT.
_LATERAL_CODES = frozenset({"399198007", "399173006", "399067008", "R-10232", "R-10236", "R-102CD"})
_CHEST = re.compile("CHEST|THORAX|LUNG|RIB", re.IGNORECASE)
_ADULT_YEARS = 18
_DAYS_PER_UNIT = {"D": 1.0, "W": 7.0, "M": 30.44, "Y": 365.25, "": 365.25}

# The spacing in the patient, then that at the detector (PS3.3 10.7.1.3). Each holds row spacing, then column spacing.
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


def require_radiograph(dataset: Any, path: Path) -> None:
    """Reject a file that cannot be a radiograph.

    Raises:
        ImageError: the file has another modality, no pixel data, or several frames.
    """
    modality = _modality(dataset)
    if modality in _OTHER_MODALITIES:
        raise ImageError(f"{path}: is {_OTHER_MODALITIES[modality]}", _HINT)
    if modality in _NO_RADIOGRAPHS.split():
        raise ImageError(f"{path}: its modality is not that of a radiograph", _HINT)
    if dataset.get("Rows") is None or dataset.get("Columns") is None:
        raise ImageError(f"{path}: holds no image", "It may be a report, a presentation state or a DICOMDIR.")
    frames = dataset.get("NumberOfFrames") or 1
    if int(frames) > 1:
        raise ImageError(f"{path}: holds {int(frames)} frames", "Give single-frame radiographs.")


def _modality(dataset: Any) -> str:
    return _MODALITY_OF_CLASS.get(str(dataset.get("SOPClassUID", "")), str(dataset.get("Modality", "")).strip().upper())


def header_warnings(dataset: Any) -> tuple[str, ...]:
    """One sentence for each reason in the header why a mask may be wrong."""
    modality, storage = _modality(dataset), str(dataset.get("SOPClassUID", ""))
    intent = str(dataset.get("PresentationIntentType", "")).upper()
    body_part = str(dataset.get("BodyPartExamined", ""))
    warnings = {
        "its header says that it is a lateral view": _is_lateral(dataset),
        "its header names another part of the body than the chest": bool(body_part) and not _CHEST.search(body_part),
        "the patient is under 18; the models were trained on adults": _is_child(dataset),
        "is an image FOR PROCESSING, not for presentation": storage == _FOR_PROCESSING or intent == "FOR PROCESSING",
        "is a secondary capture, which may be a screenshot or a scan": storage.startswith(_SECONDARY_CAPTURE)
        or modality == "SC",
        "its modality is not that of a radiograph": modality not in _RADIOGRAPH_MODALITIES | _UNSPECIFIC_MODALITIES,
        "may show text that was burnt into the picture": str(dataset.get("BurnedInAnnotation", "")).upper() == "YES",
    }
    return tuple(sentence for sentence, applies in warnings.items() if applies)


def _is_lateral(dataset: Any) -> bool:
    if str(dataset.get("ViewPosition", "")).strip().upper() in _LATERAL_VIEWS:
        return True
    views = dataset.get("ViewCodeSequence") or []
    if any(str(view.get("CodeValue", "")) in _LATERAL_CODES for view in views):
        return True
    # Rows run towards the patient's left or right in a frontal view, towards the front or back in a lateral view.
    directions = dataset.get("PatientOrientation") or ""
    first = directions if isinstance(directions, str) else str(directions[0])
    return first[:1].upper() in {"A", "P"}


def _is_child(dataset: Any) -> bool:
    age = re.fullmatch(r"(\d{1,3})([DWMY]?)", str(dataset.get("PatientAge", "")).strip().upper())
    if age:
        return float(age[1]) * _DAYS_PER_UNIT[age[2]] < _ADULT_YEARS * _DAYS_PER_UNIT["Y"]
    birth, study = (str(dataset.get(name, ""))[:8] for name in ("PatientBirthDate", "StudyDate"))
    if not (birth.isdigit() and study.isdigit() and len(birth) == len(study) == 8):
        return False
    return 0 <= int(study) - int(birth) < _ADULT_YEARS * 10_000  # dates are YYYYMMDD


def find_spacing(dataset: Any) -> Spacing | None:
    """The pixel spacing from the first element that holds a valid one; None if it is unknown."""
    for name in _SPACINGS:
        try:
            row_mm, column_mm = dataset.get(name)
        except (TypeError, ValueError):  # absent, empty, or not two values
            continue
        if spacing := make_spacing(row_mm, column_mm, name):
            return spacing
    return None
