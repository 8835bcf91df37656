import pytest

from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.radiograph import Spacing
from lungmask_cli.scoring.manifest import read_manifest


def write(folder, text):
    path = folder / "m.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_radiographs_are_known_by_path_name_and_stem(tmp_path):
    manifest = read_manifest(write(tmp_path, "sex,file\nf,images/a.png\nm,b.v2.dcm\nf,c.nii.gz\nm,d.1\n"))
    assert [manifest.row(key)["sex"] for key in ("a", "x/a", "b.v2", "c", "d.1")] == ["f", "f", "m", "f", "m"]
    assert manifest.row("e") is None


def test_without_a_known_column_the_first_one_names_them(tmp_path):
    assert read_manifest(write(tmp_path, "radiograph,sex\na.png,f\n")).row("a") == {"radiograph": "a.png", "sex": "f"}


def test_spacings_are_rows_then_columns_and_0_is_unknown(tmp_path):
    manifest = read_manifest(
        write(tmp_path, "id,spacing_row_mm,spacing_column_mm\na,0.3,0.4\nb,0,0\nc,x,0.4\nd,inf,1\n")
    )
    assert manifest.spacing("a") == Spacing(0.3, 0.4, "manifest")
    assert [manifest.spacing(key) for key in "bcde"] == [None] * 4
    assert read_manifest(write(tmp_path, "id,spacing_mm\na,0.5\n")).spacing("a") == Spacing(0.5, 0.5, "manifest")


def test_the_spacings_of_a_prepared_set_are_those_of_its_squares(tmp_path):
    path = write(tmp_path, "id,spacing_mm\na,0.5\n")
    assert read_manifest(path).side is None
    (tmp_path / "dataset.json").write_text('{"size": 64}')
    assert read_manifest(path).side == 64


def test_patients_are_found_by_their_usual_names_or_the_one_given(tmp_path):
    manifest = read_manifest(write(tmp_path, "id,Patient_ID,person\na,1,2\n"))
    assert manifest.patient_column(None) == "Patient_ID"
    assert manifest.patient_column("person") == "person"
    with pytest.raises(UsageError, match="has no column sex") as caught:
        manifest.patient_column("sex")
    assert "Patient_ID" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "no rows"), ("id,sex\n", "no rows"), ("id,sex\na,f\na.png,m\n", "names a twice")],
)
def test_files_that_cannot_be_used_are_refused(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        read_manifest(write(tmp_path, text))


def test_what_is_no_csv_is_refused(tmp_path):
    (tmp_path / "m.csv").write_bytes(b"\xff\xfe\x00a")
    for path in (tmp_path / "m.csv", tmp_path / "none.csv", tmp_path):
        with pytest.raises(UsageError, match="cannot be read as CSV"):
            read_manifest(path)


def test_short_and_long_rows_do_no_harm(tmp_path):
    manifest = read_manifest(write(tmp_path, "id,sex\na\nb,f,extra\n"))
    assert manifest.row("a") == {"id": "a", "sex": ""}
    assert manifest.row("b") == {"id": "b", "sex": "f"}
