"""Where everything stands: each file of the project that code reads or writes, and the columns of each CSV.

Paths are relative to the project's root, which is the folder that every command runs in.

    live     data/live/maple.db              the live database (DATABASE_URL), data/quarantine/ pages that have changed
    frozen   data/raw_chunks/                raw_data_0007.csv        posts as collected     cut@0007      chunk-0007
             data/labeled_chunks/            labeled_data_0007.csv    + the LLM's labels     label@0007    chunk-0007
                                             labeled_data_0007.json   what made them         label@0007    chunk-0007
             data/archived_feedback/         feedback_0003.csv        what people said       archive@0003  feedback-0003
             data/base/merged_label_final.csv                         general game text      base
             data/gold/*.csv                                          human labels, never trained on
             data/plain_sentences.csv                                 what a model must not get wrong, never trained on
    made     data/prepared/                  train, validation, test sets                    prepare
             models/champion|candidate|production/                    champion, train, promote
             models/evaluation/, metrics.json, decision.json          evaluate, promote       model-20261122T154500
"""

from pathlib import Path

# --- data ---------------------------------------------------------------------------------------------

CATALOG_FILE = Path("data/catalog.yaml")
RAW_CHUNKS = Path("data/raw_chunks")
LABELED_CHUNKS = Path("data/labeled_chunks")
ARCHIVED_FEEDBACK = Path("data/archived_feedback")
BASE_FILE = Path("data/base/merged_label_final.csv")
GOLD = Path("data/gold")
DICTIONARIES = Path("data/dictionaries")
PLAIN_FILE = Path("data/plain_sentences.csv")
STOPWORDS_FILE = Path("data/korean_stopwords.txt")
PREPARED = Path("data/prepared")
QUARANTINE = Path("data/quarantine")

CHUNK_COLUMNS = (
    "board_id",
    "post_id",
    "job_group",
    "job",
    "title",
    "body",
    "url",
    "posted_at",
    "collected_at",
    "views",
    "recommends",
    "comments",
)
LABEL_COLUMNS = ("label", "sentiment", "confidence", "labeler", "prompt", "note")  # that a labelled chunk adds
ARCHIVE_COLUMNS = (
    "id",
    "created_at",
    "text",
    "label",
    "sentiment",
    "predicted",
    "confidence",
    "model_version",
    "board_id",
    "post_id",
    "source",  # anonymous, or imported:NAME; archives of before have no such column, and every row was anonymous
)
BASE_COLUMNS = ("text", "label")
TEXT_ALIASES = {"content": "text"}  # the old system's name of that column, read wherever people bring texts
GOLD_COLUMNS = ("title", "body", "label")  # at least; job_group where it is known
PLAIN_COLUMNS = ("group", "kind", "text", "other", "label", "direction")


def raw_path(number: str, root: Path = Path()) -> Path:
    """Where the raw chunk of that number (`0007`) stands."""
    return root / RAW_CHUNKS / f"raw_data_{number}.csv"


def labeled_path(number: str, root: Path = Path()) -> Path:
    """Where the labelled chunk of that number stands; its provenance is beside it, ending in .json."""
    return root / LABELED_CHUNKS / f"labeled_data_{number}.csv"


def archive_path(number: str, root: Path = Path()) -> Path:
    """Where the feedback archive of that number (`0003`), or of a range of them (`0001-0005`), stands."""
    return root / ARCHIVED_FEEDBACK / f"feedback_{number}.csv"


# --- models -------------------------------------------------------------------------------------------

NO_CHAMPION = "none"  # what the catalog says before the first model
CHAMPION = Path("models/champion")  # what was served when this run began
CANDIDATE = Path("models/candidate")  # what this run built
PRODUCTION = Path("models/production")  # the winner, which is served
METRICS_FILE = Path("models/metrics.json")
DECISION_FILE = Path("models/decision.json")
EVALUATION = Path("models/evaluation")
CARD_FILE = "README.md"  # in EVALUATION
SMOKE_FILE = "smoke.json"  # in EVALUATION
JOB_FLIPS_FILE = "job_flips.csv"  # in EVALUATION
SUSPECTS_FILE = EVALUATION / "suspects.csv"
