"""What a start looks for before it serves: a model that is released already, a base file that nobody has tried."""

import hashlib
from collections.abc import Callable

from pipeline.freeze.repository import Repository
from pipeline.layout import BASE_FILE, NO_CHAMPION, PRODUCTION
from pipeline.learn.base import read_base
from pipeline.lock import LEARN, only_run
from pipeline.model.folder import production_version
from pipeline.release.model import release_model, served_version

Say = Callable[[str], None]


def see_to_model(repository: Repository, say: Say = print) -> None:
    """See that there is a model to serve: the released one, else a base model trained now; `say` what is done.

    A base file that no model has learned from is tried at once, under the gate. Raises Busy while a learn run is at
    work and there is no model yet, RepositoryError when a released one is nowhere to be had.
    """
    there = production_version(repository.root / PRODUCTION) != NO_CHAMPION
    if there and not own_base(repository):
        return
    with only_run(LEARN, repository.root):
        repository.require_ready()
        version = served_version(repository, say)
        if version == NO_CHAMPION:
            if elsewhere := sorted(tag for tag in repository.history().tags if tag.startswith("model-")):
                say(f"This branch has no model; {elsewhere[-1]} is on another one (`git switch` goes there).")
            say("No model yet: training the base model from the base file (about a minute) …")
        elif not own_base(repository):
            say(f"Serving model-{version}.")
            return
        say_own_base(repository, say)
        decision = release_model(repository)
        say(f"model-{decision['challenger']}: {decision['verdict']} ({'; '.join(decision['reasons'])})")


def say_own_base(repository: Repository, say: Say) -> None:
    """Say that the base file is new, and what happens with it. Raises DataFileError when it can't be used."""
    if own_base(repository):
        texts = len(read_base(repository.root / BASE_FILE))
        say(f"{BASE_FILE} is new ({texts:,} texts): the next model learns from it, and the gate judges that model.")


def own_base(repository: Repository) -> bool:
    """Whether the base file is another one than the newest model of this branch has learned from."""
    path = repository.root / BASE_FILE
    recorded = repository.recorded("HEAD", BASE_FILE)
    if recorded is None or not path.exists():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() != recorded
