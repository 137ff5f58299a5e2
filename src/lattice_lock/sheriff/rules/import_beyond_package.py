"""The rule `import-beyond-package`."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, ClassVar, Final

from typing_extensions import override

from lattice_lock.sheriff.rule import ModuleRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.sheriff.context import SheriffContext, SourceFile
    from lattice_lock.sheriff.module import Module
    from lattice_lock.sheriff.rule import Violation

__all__ = ["ImportBeyondPackage"]

_RELATIVE: Final = re.compile(r"from[\s\\]*\.[\s\\.]*")
"""In every text that imports relatively: keywords and dots have no other spelling."""


class ImportBeyondPackage(ModuleRule):
    """Reports a relative import under the source root that leads out of the top package.

    Where packages begin is what `config.source_root` of the lattice says: in `src/shop/orders.py`
    the top package is `shop`, and `from .. import billing` leads out of it.

    ## Why it matters

    Python refuses such an import when the line runs, which may be long after the file was loaded,
    and no rule can say which module it was meant to reach.

    ## What to do

    Import the module by its full name, as seen from the source root.
    """

    id: ClassVar[str] = "LLS007"
    name: ClassVar[str] = "import-beyond-package"
    node_types: ClassVar[frozenset[type[ast.AST]]] = frozenset({ast.ImportFrom})

    @override
    def wanted(self, source: SourceFile, context: SheriffContext) -> frozenset[type[ast.AST]]:
        packages = source.module.count(".") + source.is_package
        for found in _RELATIVE.finditer(source.text):
            if found[0].count(".") > packages:
                return self.node_types
        return frozenset()

    @override
    def check_module(self, module: Module, context: SheriffContext) -> Iterator[Violation]:
        root = context.lattice.config.source_root
        # Elsewhere, as in a folder of tests, another folder may be the one that is imported from.
        if root != "." and not module.source.path.startswith(f"{root}/"):
            return
        for node, _ in module.nodes(ast.ImportFrom):
            if isinstance(node, ast.ImportFrom) and module.absolute(node) is None:
                written = "." * node.level + (node.module or "")
                inside = f"package `{module.package}`" if module.package else "no package"
                yield self.violation(
                    module,
                    module.span(node),
                    f"`{written}` leads out of the top package; this file is in {inside}.",
                    hint="Import by the full name, as seen from the source root.",
                )
