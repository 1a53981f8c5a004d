"""The Python blocks of a document, run as they are written."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """One block.

    Attributes:
        heading: the last heading or bold line above it, without its marks and number.
        code: the block.
        place: ``file:line``, for tracebacks.
    """

    heading: str
    code: str
    place: str

    @property
    def statements(self) -> list[ast.stmt]:
        return ast.parse(self.code, self.place).body

    @property
    def free_names(self) -> set[str]:
        """Names that it uses and does not define."""
        names = [node for node in ast.walk(ast.parse(self.code)) if isinstance(node, ast.Name)]
        imported = {
            (alias.asname or alias.name).partition(".")[0]
            for node in ast.walk(ast.parse(self.code))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for alias in node.names
        }
        defined = {
            node.name for node in ast.walk(ast.parse(self.code)) if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        } | {node.arg for node in ast.walk(ast.parse(self.code)) if isinstance(node, ast.arg)}
        used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
        return (
            used
            - {node.id for node in names if isinstance(node.ctx, ast.Store)}
            - imported
            - defined
            - set(dir(builtins))
        )


def snippets(path: Path) -> list[Snippet]:
    """The blocks of a Markdown file, in their order."""
    text = path.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        titles = re.findall(
            r"^(?:#+ (?:\d+\. )?(.+?)(?: \(.*\))?|\*\*(.+?)\*\*:)$", text[: match.start()], re.MULTILINE
        )
        line = text.count("\n", 0, match.start(1))
        found.append(Snippet("".join(titles[-1]), match[1], f"{path.name}:{line + 1}"))
    return found


def run(statements: Sequence[ast.stmt], given: Mapping[str, Any], place: str) -> tuple[dict[str, Any], list[Any]]:
    """Run statements one after the other in one namespace.

    Returns:
        The namespace, and what each statement that is a bare expression gave.
    """
    namespace: dict[str, Any] = {"__name__": "__main__", **given}
    values = []
    for statement in statements:
        if isinstance(statement, ast.Expr):
            values.append(eval(compile(ast.Expression(statement.value), place, "eval"), namespace))
        else:
            exec(compile(ast.Module([statement], []), place, "exec"), namespace)
    return namespace, values
