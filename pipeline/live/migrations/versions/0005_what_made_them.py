"""Keywords and predictions say what made them; what made the old ones is not known, so they are made again"""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'


def upgrade() -> None:
    op.add_column('posts', sa.Column('keywords_version', sa.String(length=16), nullable=True))
    op.add_column('posts', sa.Column('scored_by', sa.String(length=40), nullable=True))
    op.drop_index('posts_without_keywords', table_name='posts')
    op.create_index('posts_by_keywords_version', 'posts', ['keywords_version', 'seq'], unique=False)
    op.create_index('posts_by_scorer', 'posts', ['scored_by', 'seq'], unique=False)
