"""The live database's first tables"""

import sqlalchemy as sa
from alembic import op

revision = '0001'
down_revision = None


def upgrade() -> None:
    op.create_table('crawl_failures',
    sa.Column('board_id', sa.Integer(), nullable=False),
    sa.Column('post_id', sa.Integer(), nullable=False),
    sa.Column('url', sa.Text(), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('detail', sa.Text(), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('first_at', sa.String(length=25), nullable=False),
    sa.Column('last_at', sa.String(length=25), nullable=False),
    sa.PrimaryKeyConstraint('board_id', 'post_id')
    )
    op.create_table('crawl_marks',
    sa.Column('board_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('post_id', sa.Integer(), nullable=False),
    sa.Column('updated_at', sa.String(length=25), nullable=False),
    sa.PrimaryKeyConstraint('board_id')
    )
    op.create_table('feedback',
    sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
    sa.Column('created_at', sa.String(length=25), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('label', sa.Integer(), nullable=False),
    sa.Column('predicted', sa.Integer(), nullable=True),
    sa.Column('confidence', sa.Float(), nullable=True),
    sa.Column('model_version', sa.String(length=20), nullable=True),
    sa.Column('board_id', sa.Integer(), nullable=True),
    sa.Column('post_id', sa.Integer(), nullable=True),
    sa.Column('client', sa.String(length=64), nullable=True),
    sa.Column('archive', sa.Integer(), nullable=True),
    sa.PrimaryKeyConstraint('id'),
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('feedback', schema=None) as batch_op:
        batch_op.create_index('feedback_by_archive', ['archive', 'id'], unique=False)
        batch_op.create_index('feedback_by_post', ['board_id', 'post_id'], unique=False)
        batch_op.create_index('feedback_pending', ['id'], unique=False, sqlite_where=sa.text('archive IS NULL'), postgresql_where=sa.text('archive IS NULL'))

    op.create_table('labels',
    sa.Column('text_hash', sa.String(length=64), nullable=False),
    sa.Column('labeler', sa.String(length=120), nullable=False),
    sa.Column('label', sa.Integer(), nullable=True),
    sa.Column('confidence', sa.Float(), nullable=True),
    sa.Column('scores', sa.Text(), nullable=True),
    sa.Column('note', sa.Text(), server_default=sa.text("('')"), nullable=False),
    sa.Column('created_at', sa.String(length=25), nullable=False),
    sa.PrimaryKeyConstraint('text_hash', 'labeler')
    )
    op.create_table('posts',
    sa.Column('seq', sa.Integer(), autoincrement=True, nullable=False),
    sa.Column('board_id', sa.Integer(), nullable=False),
    sa.Column('post_id', sa.Integer(), nullable=False),
    sa.Column('category', sa.String(length=100), nullable=True),
    sa.Column('job_group', sa.String(length=20), nullable=True),
    sa.Column('job', sa.String(length=40), nullable=True),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('url', sa.Text(), nullable=False),
    sa.Column('posted_at', sa.String(length=25), nullable=False),
    sa.Column('collected_at', sa.String(length=25), nullable=False),
    sa.Column('views', sa.Integer(), nullable=True),
    sa.Column('recommends', sa.Integer(), nullable=True),
    sa.Column('comments', sa.Integer(), nullable=True),
    sa.Column('chunk', sa.Integer(), nullable=True),
    sa.Column('label', sa.Integer(), nullable=True),
    sa.Column('confidence', sa.Float(), nullable=True),
    sa.Column('labeler', sa.String(length=120), nullable=True),
    sa.Column('keywords', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('seq'),
    sa.UniqueConstraint('board_id', 'post_id'),
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('posts', schema=None) as batch_op:
        batch_op.create_index('posts_by_chunk', ['chunk', 'seq'], unique=False)
        batch_op.create_index('posts_by_time', ['posted_at'], unique=False)
        batch_op.create_index('posts_pending', ['seq'], unique=False, sqlite_where=sa.text('chunk IS NULL'), postgresql_where=sa.text('chunk IS NULL'))
        batch_op.create_index('posts_without_keywords', ['seq'], unique=False, sqlite_where=sa.text('keywords IS NULL'), postgresql_where=sa.text('keywords IS NULL'))

    op.create_table('predictions',
    sa.Column('board_id', sa.Integer(), nullable=False),
    sa.Column('post_id', sa.Integer(), nullable=False),
    sa.Column('model_version', sa.String(length=20), nullable=False),
    sa.Column('label', sa.Integer(), nullable=False),
    sa.Column('confidence', sa.Float(), nullable=False),
    sa.Column('predicted_at', sa.String(length=25), nullable=False),
    sa.PrimaryKeyConstraint('board_id', 'post_id')
    )
