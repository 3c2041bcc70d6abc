"""What can go wrong in a way that a person can mend, and how a command ends then: with one line, no traceback.

UserError                       a person can mend it; the message says how
├── DataFileError               a data file is missing, unreadable or malformed (pipeline.files)
├── SettingsError               a setting of this installation (pipeline.settings)
├── ParamsError                 a number of params.yaml (pipeline.params)
├── StoreError                  the live database (pipeline.live.database)
├── RepositoryError             Git or DVC (pipeline.freeze.commands)
├── Busy                        another run is at work (pipeline.lock)
├── InvenError                  the site: RobotsDisallowed, SiteUnavailable, BoardBlocked (pipeline.inven)
├── LabelError                  labelling: PromptError, LabelServerError, CoverageError, QualityError (pipeline.label)
├── FontMissing                 no font with Korean letters (pipeline.serve.keywords)
└── CannotListen, DemoError …   of app/ and demo/, each beside what raises it
"""

import sys
from collections.abc import Callable


class UserError(Exception):
    """A person can mend it. The message names the file, setting or server and the way out."""


def run(main: Callable[[], int | None]) -> None:
    """Run a command's main and end the process with the status it returns (None: 0).

    A UserError is printed and ends it with status 1, Ctrl-C with 130.
    """
    try:
        status = main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    if status:
        sys.exit(status)
