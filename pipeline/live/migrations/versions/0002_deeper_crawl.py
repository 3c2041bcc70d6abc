"""How deep a board was walked, categories that nobody knew, comments"""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'


def upgrade() -> None:
    op.add_column('crawl_marks', sa.Column('floor', sa.Integer(), nullable=True))
    op.add_column('crawl_marks', sa.Column('depth', sa.Integer(), nullable=True))
    op.create_table('categories',
    sa.Column('board_id', sa.Integer(), nullable=False),
    sa.Column('category', sa.String(length=100), nullable=False),
    sa.Column('first_at', sa.String(length=25), nullable=False),
    sa.PrimaryKeyConstraint('board_id', 'category')
    )
    op.create_table('comments',
    sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
    sa.Column('board_id', sa.Integer(), nullable=False),
    sa.Column('post_id', sa.Integer(), nullable=False),
    sa.Column('comment_id', sa.Integer(), nullable=False),
    sa.Column('parent_id', sa.Integer(), nullable=True),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('recommends', sa.Integer(), nullable=False),
    sa.Column('posted_at', sa.String(length=25), nullable=False),
    sa.Column('collected_at', sa.String(length=25), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('board_id', 'post_id', 'comment_id'),
    sqlite_autoincrement=True
    )
    op.create_table('comment_reads',
    sa.Column('board_id', sa.Integer(), nullable=False),
    sa.Column('post_id', sa.Integer(), nullable=False),
    sa.Column('listed', sa.Integer(), nullable=False),
    sa.Column('read_at', sa.String(length=25), nullable=False),
    sa.PrimaryKeyConstraint('board_id', 'post_id')
    )
