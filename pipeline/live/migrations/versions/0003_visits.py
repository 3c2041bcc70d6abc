"""When boards were visited, robots.txt as it was read, how many posts a board had in a span of time"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'


def upgrade() -> None:
    op.create_table('crawl_visits',
    sa.Column('board_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('visited_at', sa.String(length=25), nullable=True),
    sa.Column('blocked_until', sa.String(length=25), nullable=True),
    sa.PrimaryKeyConstraint('board_id')
    )
    op.create_table('robots',
    sa.Column('url', sa.String(length=500), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('fetched_at', sa.String(length=25), nullable=False),
    sa.PrimaryKeyConstraint('url')
    )
    op.create_index('posts_by_board_time', 'posts', ['board_id', 'posted_at', 'post_id'], unique=False)
