import pytest

from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.radiograph import Spacing
from lungmask_cli.scoring.metadata import group, read_metadata


def write(folder, text):
    path = folder / "m.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_radiographs_are_found_by_path_name_and_stem(tmp_path):
    metadata = read_metadata(write(tmp_path, "sex,file\nf,images/a.png\nm,b.v2.dcm\nf,c.nii.gz\nm,d.1\n"))
    assert [metadata.row(key)["sex"] for key in ("a", "x/a", "b.v2", "c", "d.1")] == ["f", "f", "m", "f", "m"]
    assert metadata.row("e") is None


def test_by_default_the_first_column_names_the_radiographs(tmp_path):
    assert read_metadata(write(tmp_path, "radiograph,sex\na.png,f\n")).row("a") == {"radiograph": "a.png", "sex": "f"}


def test_spacings_are_of_rows_then_columns_and_0_is_unknown(tmp_path):
    metadata = read_metadata(
        write(tmp_path, "id,spacing_row_mm,spacing_column_mm\na,0.3,0.4\nb,0,0\nc,x,0.4\nd,inf,1\n")
    )
    assert metadata.spacing("a") == Spacing(0.3, 0.4, "manifest")
    assert [metadata.spacing(key) for key in "bcde"] == [None] * 4
    assert read_metadata(write(tmp_path, "id,spacing_mm\na,0.5\n")).spacing("a") == Spacing(0.5, 0.5, "manifest")


def test_the_spacings_of_a_prepared_set_apply_to_its_square_images(tmp_path):
    path = write(tmp_path, "id,spacing_mm\na,0.5\n")
    assert read_metadata(path).side is None
    (tmp_path / "dataset.json").write_text('{"size": 64}')
    assert read_metadata(path).side == 64


def test_the_patient_column_has_a_default_and_can_be_chosen(tmp_path):
    metadata = read_metadata(write(tmp_path, "id,Patient_ID,person\na,1,2\n"))
    assert group([], metadata, None, None).patient_column == "Patient_ID"
    assert group([], metadata, None, "person").patient_column == "person"
    with pytest.raises(UsageError, match="has no column sex") as caught:
        group([], metadata, None, "sex")
    assert "Patient_ID" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "contains no rows"), ("id,sex\n", "contains no rows"), ("id,sex\na,f\na.png,m\n", "names a twice")],
)
def test_unusable_files_are_refused(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        read_metadata(write(tmp_path, text))


def test_files_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "m.csv").write_bytes(b"PK\x03\x04\x00\x00")
    for name, message in (
        ("m.csv", "is a spreadsheet or an archive, not text"),
        ("none.csv", "cannot be read"),
        ("", "cannot"),
    ):
        with pytest.raises(UsageError, match=message):
            read_metadata(tmp_path / name)


def test_radiographs_of_one_name_are_told_apart_by_their_folders(tmp_path):
    metadata = read_metadata(write(tmp_path, "path;sex\nH1\\images\\a.png;f\n/data/H2/a.png;m\nH1/b.png;f\n"))
    rows = {key: metadata.row(key) for key in ("H1/a", "H2/a", "data-H2-a", "a", "b", "H2/b")}
    assert {key: row and row["sex"] for key, row in rows.items()} == {
        "H1/a": "f", "H2/a": "m", "data-H2-a": "m", "a": None, "b": "f", "H2/b": None
    }  # fmt: skip


def test_short_and_long_rows_are_read(tmp_path):
    metadata = read_metadata(write(tmp_path, "id,sex\na\nb,f,extra\n"))
    assert metadata.row("a") == {"id": "a", "sex": ""}
    assert metadata.row("b") == {"id": "b", "sex": "f"}
