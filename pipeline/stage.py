"""How a stage ends: well, or with one line that says what to do instead of a traceback."""

import sys
from collections.abc import Callable

from pipeline.files import DataFileError
from pipeline.settings import SettingsError
from pipeline.store import StoreError
from pipeline.versions import VersionsError


def run(main: Callable[[], object]) -> None:
    """Run a stage's main. What the user can mend is printed and ends the process with status 1."""
    try:
        main()
    except (DataFileError, SettingsError, StoreError, VersionsError) as error:
        sys.exit(str(error))
