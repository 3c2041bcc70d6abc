"""Posts that were edited or deleted after they were collected, and what a chunk holds of them"""

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'


def upgrade() -> None:
    op.add_column('posts', sa.Column('listed_title', sa.Text(), nullable=True))
    op.add_column('posts', sa.Column('edited_at', sa.String(length=25), nullable=True))
    op.add_column('posts', sa.Column('gone_at', sa.String(length=25), nullable=True))
    op.add_column('crawl_visits', sa.Column('reread_time', sa.String(length=25), nullable=True))
    op.add_column('crawl_visits', sa.Column('reread_post', sa.Integer(), nullable=True))
    op.create_table('frozen_texts',
    sa.Column('board_id', sa.Integer(), nullable=False),
    sa.Column('post_id', sa.Integer(), nullable=False),
    sa.Column('job_group', sa.String(length=20), nullable=True),
    sa.Column('job', sa.String(length=40), nullable=True),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('board_id', 'post_id')
    )
