"""Corrections say where they come from"""

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'


def upgrade() -> None:
    op.add_column('feedback', sa.Column('source', sa.String(length=60), server_default=sa.text("'anonymous'"), nullable=False))
