"""Implementation of `IClock`."""

from __future__ import annotations

from datetime import datetime

from shared.types_v2_interfaces import IClock


class Clock(IClock):
    """Implements `IClock`."""

    def seconds_between(self, start: datetime, end: datetime) -> int:
        """`seconds_between` of the lattice.

        Requires:
            end >= start
        """
        raise NotImplementedError
