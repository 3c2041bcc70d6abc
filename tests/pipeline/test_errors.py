"""How a stage ends."""

import pytest

from pipeline import errors
from pipeline.files import DataFileError
from pipeline.freeze.repository import RepositoryError
from pipeline.live.database import StoreError
from pipeline.settings import SettingsError


def test_a_stage_that_ends_well_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    done = []
    errors.run(lambda: done.append(1))
    assert done == [1]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("kind", [DataFileError, SettingsError, StoreError, RepositoryError])
def test_what_the_user_can_mend_is_one_line(kind: type[Exception]) -> None:
    def main() -> None:
        raise kind("data/x.csv is missing: `dvc pull`")

    with pytest.raises(SystemExit) as ended:
        errors.run(main)
    assert ended.value.code == "error: data/x.csv is missing: `dvc pull`"  # Python prints it and exits with 1


def test_a_defect_keeps_its_traceback() -> None:
    def main() -> None:
        raise KeyError("defect")

    with pytest.raises(KeyError):
        errors.run(main)
