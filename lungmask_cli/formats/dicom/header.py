"""Checks of a DICOM header: files to reject, warnings, and the pixel spacing.

No message quotes text from the file: names, identifiers and dates must not reach tables and logs.
"""

import re
from pathlib import Path

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.dicom.elements import SENSELESS, Header, is_filled
from lungmask_cli.formats.dicom.pixel_format import read_frame_count
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
_ANTEROPOSTERIOR_VIEWS = frozenset({"AP", "AP SUPINE", "APSUPINE", "SUPINE", "PORTABLE AP", "AP PORTABLE"})
_ANTEROPOSTERIOR_CODES = frozenset({"399348003", "R-10206"})  # of CID 4010
_SUPINE_POSITIONS = frozenset({"HFS", "FFS"})  # head or feet first, supine (PS3.3 C.7.3.1.1.2)
_CHEST = re.compile("CHEST|THORAX|LUNG|RIB", re.IGNORECASE)
_ADULT_YEARS = 18
_AGE = re.compile(r"(\d{1,3})([DWMY]?)", re.ASCII)
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})", re.ASCII)  # with points in old files; a time may follow
_DAYS_PER_UNIT = {"D": 1.0, "W": 7.0, "M": 30.44, "Y": 365.25, "": 365.25}

# The spacing in the patient, then that at the detector (PS3.3 10.7.1.3). Each holds row spacing, then column spacing.
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_LEAST_MM, _MOST_MM = 0.001, 20.0  # of plausible spacings; a reduced chest of 20 pixels has 20 mm


def require_radiograph(header: Header, path: Path) -> None:
    """Reject a file that cannot be a radiograph.

    Raises:
        ImageError: the file has another modality, no image, or several frames.
    """
    modality = _modality(header)
    if modality in _OTHER_MODALITIES:
        raise ImageError(f"{path}: is {_OTHER_MODALITIES[modality]}", _HINT)
    if modality in _NO_RADIOGRAPHS.split():
        raise ImageError(f"{path}: its modality is not that of a radiograph", _HINT)
    for keyword in ("Rows", "Columns"):
        if not is_filled(header.dataset, keyword):
            raise ImageError(
                f"{path}: holds no image: the element {keyword} is missing",
                "It may be a report, a presentation state or a DICOMDIR.",
            )
    frames = read_frame_count(header)
    if frames > 1:
        raise ImageError(f"{path}: holds {frames} frames", "Give single-frame radiographs.")


def _modality(header: Header) -> str:
    return _MODALITY_OF_CLASS.get(header.text("SOPClassUID"), header.text("Modality"))


def add_warnings(header: Header) -> None:
    """Warn of each reason in the header why a mask may be wrong."""
    modality, storage = _modality(header), header.text("SOPClassUID")
    body_part = header.text("BodyPartExamined")
    warnings = {
        "its header says that it is a lateral view": _is_lateral(header),
        "its header names another part of the body than the chest": bool(body_part) and not _CHEST.search(body_part),
        "the patient is under 18; the models were trained on adults": _is_child(header),
        "is an image FOR PROCESSING, not for presentation": storage == _FOR_PROCESSING
        or header.text("PresentationIntentType") == "FOR PROCESSING",
        "is a secondary capture, which may be a screenshot or a scan": storage.startswith(_SECONDARY_CAPTURE)
        or modality == "SC",
        "its modality is not that of a radiograph": modality not in _RADIOGRAPH_MODALITIES | _UNSPECIFIC_MODALITIES,
        "may show text that was burnt into the picture": header.text("BurnedInAnnotation") == "YES",
    }
    for sentence, applies in warnings.items():
        if applies:
            header.warn(sentence)


def _is_lateral(header: Header) -> bool:
    if header.text("ViewPosition") in _LATERAL_VIEWS:
        return True
    if any(Header(view).text("CodeValue") in _LATERAL_CODES for view in header.items("ViewCodeSequence")):
        return True
    # Rows run towards the patient's left or right in a frontal view, towards the front or back in a lateral view.
    return header.text("PatientOrientation")[:1] in {"A", "P"}


def is_anteroposterior(header: Header) -> bool:
    """Whether the beam entered at the front, or the patient lies on the back, by any element that says so."""
    views = {Header(view).text("CodeValue") for view in header.items("ViewCodeSequence")}
    return (
        header.text("ViewPosition") in _ANTEROPOSTERIOR_VIEWS
        or bool(views & _ANTEROPOSTERIOR_CODES)
        or header.text("PatientPosition") in _SUPINE_POSITIONS
    )


def _is_child(header: Header) -> bool:
    if age := header.text("PatientAge"):
        if match := _AGE.fullmatch(age):
            return float(match[1]) * _DAYS_PER_UNIT[match[2]] < _ADULT_YEARS * _DAYS_PER_UNIT["Y"]
        header.leave_out("PatientAge")
    birth, study = _read_date(header, "PatientBirthDate"), _read_date(header, "StudyDate")
    return birth is not None and study is not None and 0 <= study - birth < _ADULT_YEARS * 10_000


def _read_date(header: Header, keyword: str) -> int | None:
    """A date as the number YYYYMMDD; None, with a warning, if it cannot be read."""
    if not (text := header.text(keyword)):
        return None
    if match := _DATE.match(text):
        return int("".join(match.groups()))
    header.leave_out(keyword)
    return None


def find_spacing(header: Header) -> Spacing | None:
    """The pixel spacing from the first element that holds a valid one; None if it is unknown."""
    for name in _SPACINGS:
        if numbers := header.numbers(name, 2):
            row_mm, column_mm = numbers
            is_plausible = all(_LEAST_MM <= number <= _MOST_MM for number in numbers)
            if is_plausible and (spacing := make_spacing(row_mm, column_mm, name)):
                return spacing
            header.leave_out(name, SENSELESS)
    return None
