"""${message}"""

from __future__ import annotations

% if "sa." in upgrades + downgrades:
import sqlalchemy as sa
% endif
from alembic import op

revision = "${up_revision}"
down_revision = "${down_revision}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
