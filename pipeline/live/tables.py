"""The live database's tables, for SQLAlchemy Core. Their history is in `pipeline/live/migrations/`.

Times are ISO 8601 text with +09:00: they sort as text because every one has the same offset.
"""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData()

posts = Table(
    "posts",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),  # order of collection
    Column("board_id", Integer, nullable=False),
    Column("post_id", Integer, nullable=False),
    Column("category", String(100)),
    Column("job_group", String(20)),
    Column("job", String(40)),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("posted_at", String(25), nullable=False),
    Column("collected_at", String(25), nullable=False),
    Column("views", Integer),
    Column("recommends", Integer),
    Column("comments", Integer),
    Column("chunk", Integer),  # the raw chunk that froze this post; NULL = pending
    Column("label", Integer),  # the LLM's label, written when its chunk is labelled
    Column("confidence", Float),
    Column("labeler", String(120)),
    Column("keywords", Text),  # space-separated; NULL = not tokenised yet
    Column("keywords_version", String(16)),  # what made them (pipeline.text.fingerprint); NULL = not known
    Column("scored_by", String(40)),  # what made its prediction: model and tokenizer; NULL = none, or not known
    Column("listed_title", Text),  # its title on the list when it was last read; NULL = not known
    Column("edited_at", String(25)),  # when it was found to say something else; NULL = never
    Column("gone_at", String(25)),  # when it was found deleted: not shown any more; NULL = it is there
    UniqueConstraint("board_id", "post_id"),  # post ids repeat across boards (measured)
    sqlite_autoincrement=True,
)

frozen_texts = Table(  # what a chunk holds of posts that were edited after they were cut
    "frozen_texts",
    metadata,
    Column("board_id", Integer, nullable=False),
    Column("post_id", Integer, nullable=False),
    Column("job_group", String(20)),
    Column("job", String(40)),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("board_id", "post_id"),
)
Index(
    "posts_pending",
    posts.c.seq,
    sqlite_where=posts.c.chunk.is_(None),
    postgresql_where=posts.c.chunk.is_(None),
)
Index("posts_by_chunk", posts.c.chunk, posts.c.seq)
Index("posts_by_time", posts.c.posted_at)
Index("posts_by_board_time", posts.c.board_id, posts.c.posted_at, posts.c.post_id)
Index("posts_by_keywords_version", posts.c.keywords_version, posts.c.seq)
Index("posts_by_scorer", posts.c.scored_by, posts.c.seq)

feedback = Table(
    "feedback",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("created_at", String(25), nullable=False),
    Column("text", Text, nullable=False),
    Column("label", Integer, nullable=False),  # what the person says
    Column("predicted", Integer),  # what the model had said, and how
    Column("confidence", Float),
    Column("model_version", String(20)),
    Column("board_id", Integer),  # set when a collected post was corrected
    Column("post_id", Integer),
    Column("client", String(64)),  # salted hash of the session; no address, no name
    Column("archive", Integer),  # the feedback archive that froze this row; NULL = pending
    Column("source", String(60), nullable=False, server_default=text("'anonymous'")),  # or imported:NAME
    sqlite_autoincrement=True,
)
Index(
    "feedback_pending",
    feedback.c.id,
    sqlite_where=feedback.c.archive.is_(None),
    postgresql_where=feedback.c.archive.is_(None),
)
Index("feedback_by_archive", feedback.c.archive, feedback.c.id)
Index("feedback_by_post", feedback.c.board_id, feedback.c.post_id)

labels = Table(
    "labels",
    metadata,
    Column("text_hash", String(64), nullable=False),  # SHA-256 of the text shown to the LLM
    Column("labeler", String(120), nullable=False),  # fingerprint of model + prompt + decoding
    Column("label", Integer),
    Column("confidence", Float),
    Column("scores", Text),  # JSON: raw probabilities of the three label words
    Column("note", Text, nullable=False, server_default=text("''")),
    Column("created_at", String(25), nullable=False),
    Column("kind", String(20), nullable=False, server_default=text("''")),  # why there is no label
    Column("lasting", Boolean, nullable=False, server_default=false()),  # ... and never will be
    Column("runs", Integer, nullable=False, server_default=text("1")),  # that asked in vain
    Column("accepted", Boolean, nullable=False, server_default=false()),  # a written chunk was made of it
    PrimaryKeyConstraint("text_hash", "labeler"),
)

labels_set_aside = Table(  # answers of runs that failed their quality: kept, never used
    "labels_set_aside",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("text_hash", String(64), nullable=False),
    Column("labeler", String(120), nullable=False),
    Column("label", Integer),
    Column("confidence", Float),
    Column("scores", Text),
    Column("note", Text, nullable=False),
    Column("created_at", String(25), nullable=False),
    Column("reason", Text, nullable=False),
    Column("set_aside_at", String(25), nullable=False),
    sqlite_autoincrement=True,
)

label_failures = Table(  # chunks whose labelling failed; the row goes when it succeeds
    "label_failures",
    metadata,
    Column("chunk", Integer, primary_key=True, autoincrement=False),
    Column("setup", String(64), nullable=False),  # hash of the settings that it failed with
    Column("failures", Integer, nullable=False),  # in a row
    Column("kind", String(20), nullable=False),  # coverage, quality
    Column("reason", Text, nullable=False),
    Column("failed_at", String(25), nullable=False),
)

predictions = Table(
    "predictions",
    metadata,
    Column("board_id", Integer, nullable=False),
    Column("post_id", Integer, nullable=False),
    Column("model_version", String(20), nullable=False),
    Column("label", Integer, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("predicted_at", String(25), nullable=False),
    PrimaryKeyConstraint("board_id", "post_id"),
)

crawl_failures = Table(
    "crawl_failures",
    metadata,
    Column("board_id", Integer, nullable=False),
    Column("post_id", Integer, nullable=False),  # 0 = the board's list
    Column("url", Text, nullable=False),
    Column("kind", String(20), nullable=False),  # gone, login, drift, excess, unavailable
    Column("detail", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("first_at", String(25), nullable=False),
    Column("last_at", String(25), nullable=False),
    PrimaryKeyConstraint("board_id", "post_id"),
)

crawl_progress = Table(
    "crawl_progress",
    metadata,
    Column("board_id", Integer, primary_key=True, autoincrement=False),
    Column("high_water", Integer, nullable=False),  # every post up to this id is settled, except in gaps
    Column("updated_at", String(25), nullable=False),
    Column("low_water", Integer),  # ... and down to this one; NULL = not known
    Column("low_page", Integer),  # the list page on which `low_water` was last seen
)

crawl_gaps = Table(  # ids that no walk has listed yet
    "crawl_gaps",
    metadata,
    Column("board_id", Integer, nullable=False),
    Column("after", Integer, nullable=False),  # those above this one
    Column("before", Integer, nullable=False),  # and below this one
    Column("page", Integer, nullable=False),  # the list page on which `before` was last seen
    PrimaryKeyConstraint("board_id", "after"),
)

crawl_visits = Table(
    "crawl_visits",
    metadata,
    Column("board_id", Integer, primary_key=True, autoincrement=False),
    Column("visited_at", String(25)),  # when the last visit began; NULL = it has not ended well
    Column("blocked_until", String(25)),  # left alone until then, because it refused us
    Column("reread_time", String(25)),  # posts up to this time, and of it up to this id, were read again
    Column("reread_post", Integer),
)

robots = Table(  # robots.txt as the site sent it
    "robots",
    metadata,
    Column("url", String(500), primary_key=True),
    Column("text", Text, nullable=False),
    Column("fetched_at", String(25), nullable=False),
)

categories = Table(  # labels of posts that the domain's table (`pipeline.boards`) does not know
    "categories",
    metadata,
    Column("board_id", Integer, nullable=False),
    Column("category", String(100), nullable=False),
    Column("first_at", String(25), nullable=False),
    PrimaryKeyConstraint("board_id", "category"),
)

comments = Table(
    "comments",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("board_id", Integer, nullable=False),
    Column("post_id", Integer, nullable=False),
    Column("comment_id", Integer, nullable=False),
    Column("parent_id", Integer),  # the comment that it answers
    Column("text", Text, nullable=False),
    Column("recommends", Integer, nullable=False),
    Column("posted_at", String(25), nullable=False),
    Column("collected_at", String(25), nullable=False),
    UniqueConstraint("board_id", "post_id", "comment_id"),
    sqlite_autoincrement=True,
)

comment_reads = Table(  # what the list said of a post's comments when they were last read
    "comment_reads",
    metadata,
    Column("board_id", Integer, nullable=False),
    Column("post_id", Integer, nullable=False),
    Column("listed", Integer, nullable=False),
    Column("read_at", String(25), nullable=False),
    PrimaryKeyConstraint("board_id", "post_id"),
)
