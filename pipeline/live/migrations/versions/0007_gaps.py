"""How far boards were walked, in the words of the code; gaps that no walk has listed yet"""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'


def upgrade() -> None:
    op.rename_table('crawl_marks', 'crawl_progress')
    op.alter_column('crawl_progress', 'post_id', new_column_name='high_water')
    op.alter_column('crawl_progress', 'floor', new_column_name='low_water')
    op.alter_column('crawl_progress', 'depth', new_column_name='low_page')
    op.create_table('crawl_gaps',
    sa.Column('board_id', sa.Integer(), nullable=False),
    sa.Column('after', sa.Integer(), nullable=False),
    sa.Column('before', sa.Integer(), nullable=False),
    sa.Column('page', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('board_id', 'after')
    )
