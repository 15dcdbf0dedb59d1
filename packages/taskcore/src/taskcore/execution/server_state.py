"""What a driver finds out about its server while it works; all its operations share it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from threading import Lock

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class ServerState:
    """`prepare`: statements are prepared. `trusted`: the objects in our names may be used."""

    prepare: bool
    trusted: bool = False
    _warning: Lock = field(default_factory=Lock, repr=False)

    def stop_preparing(self) -> None:
        """Prepare no statement any more, and log one warning."""
        self.prepare = False
        if self._warning.acquire(blocking=False):  # never released: one warning
            _log.warning(
                "a prepared statement was lost or was there already, so a transaction pooler gives "
                "the connections to other clients too; statements are not prepared any more. Set "
                "TASKAPI_TRANSACTION_POOLER=true (in the library prepare=False)"
            )
