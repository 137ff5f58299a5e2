"""Implementation of `IKitchen`."""

from __future__ import annotations

from shared.types_v1 import Everything
from shared.types_v1_interfaces import IKitchen


class Kitchen(IKitchen):
    """Implements `IKitchen`."""

    def nothing(self) -> None:
        """`nothing` of the lattice."""
        raise NotImplementedError

    def several(
        self,
        result_: str,
        given: int,
        one: Everything,
        many: dict[str, list[Everything]],
    ) -> list[str] | None:
        """`several` of the lattice.

        Requires:
            given > 0

        Ensures:
            result is None or len(result) == given

        Raises:
            ValueError: given == 7
            LookupError: given > 100
        """
        raise NotImplementedError
