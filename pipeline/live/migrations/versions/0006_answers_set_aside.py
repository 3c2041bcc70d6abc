"""Answers that are not to be trusted are set aside; refusals that last; chunks whose labelling failed wait"""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'


def upgrade() -> None:
    op.add_column('labels', sa.Column('kind', sa.String(length=20), server_default=sa.text("''"), nullable=False))
    op.add_column('labels', sa.Column('lasting', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('labels', sa.Column('runs', sa.Integer(), server_default=sa.text('1'), nullable=False))
    op.add_column('labels', sa.Column('accepted', sa.Boolean(), server_default=sa.false(), nullable=False))
    labels = sa.table('labels', sa.column('label'), sa.column('lasting', sa.Boolean()))
    # Until now only what lasts was kept without a label.
    op.execute(labels.update().where(labels.c.label.is_(None)).values(lasting=True))
    op.create_table('labels_set_aside',
    sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
    sa.Column('text_hash', sa.String(length=64), nullable=False),
    sa.Column('labeler', sa.String(length=120), nullable=False),
    sa.Column('label', sa.Integer(), nullable=True),
    sa.Column('confidence', sa.Float(), nullable=True),
    sa.Column('scores', sa.Text(), nullable=True),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('created_at', sa.String(length=25), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('set_aside_at', sa.String(length=25), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sqlite_autoincrement=True
    )
    op.create_table('label_failures',
    sa.Column('chunk', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('setup', sa.String(length=64), nullable=False),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('failed_at', sa.String(length=25), nullable=False),
    sa.PrimaryKeyConstraint('chunk')
    )
