"""The Python code that a template compiles to, where it prints.

One call checks, escapes and converts a value. A template, and each of its blocks, prints lists of pieces, see `pieces`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame

from engine.campaign.content.printing.pieces import MOST_PIECES
from engine.campaign.content.printing.print_checks import CHECK, find_printed_label

_EVENT = "event"  # Jinja's name for a piece that a block or another template prints
_MODULE = "template._get_default_module()._body_stream"  # what a template prints that is included without context
_YIELD_MODULE = f"yield from {_MODULE}"


class PrintCodeGenerator(CodeGenerator):
    """Compiles the checks of printed values, which print_checks adds, together with printing.

    Jinja's own code would call a check, then `escape`, which makes an object for each value; and it yields each piece.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._printed: nodes.Expr | None = None
        self._statics: list[str] = []
        self._list: str | None = None  # of the pieces of the function that is being written
        self._is_begun = False  # the list has a piece
        self._is_certain = False  # what is written here runs once in each message
        self._is_static = False  # the text that is written here is in each message
        self._including: str | None = None  # the buffer that the pieces of a block or another template are put into

    def write_commons(self) -> None:
        """Write what is defined at the top of each function."""
        self.writeline("resolve = context.resolve_or_missing")
        self.writeline("if 0: yield None")

    def pull_dependencies(self, nodes: Iterable[nodes.Node]) -> None:
        """Do not look up filters and tests in each function: the template does it once, see visit_Template."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802 - Jinja's visitor finds it by this name
        """Write a template, and after it what its functions read: filters, static text and Jinja's common names."""
        for name in _list_names(node, nodes.Filter):
            self.filters[name] = self.temporary_identifier()
        for name in _list_names(node, nodes.Test):
            self.tests[name] = self.temporary_identifier()
        super().visit_Template(node, frame)
        super().pull_dependencies([node, *(part for block in node.find_all(nodes.Block) for part in block.body)])
        for name in ("undefined", "concat", "print_html", "print_text"):
            self.writeline(f"{name} = environment.{name}")
        self.writeline("cond_expr_undefined = Undefined")
        for number, text in enumerate(self._statics):
            self.writeline(f"static_{number} = environment.static_piece({text!r})")

    def blockvisit(self, nodes: Iterable[nodes.Node], frame: Frame) -> None:
        """Write a sequence of statements: all of a function's, or those inside a condition or loop."""
        if frame.buffer is not None:
            super().blockvisit(nodes, frame)
            if frame.loop_frame and frame.buffer == self._list:
                self.writeline(f"if len({self._list}) > {MOST_PIECES}: environment.shorten({self._list})")
            return
        self.buffer(frame)
        self._list, self._is_begun, self._is_certain = frame.buffer, False, True
        super().blockvisit(nodes, frame)
        self._yield_list()
        self._list = None

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:  # noqa: N802 - as above
        """Write what is printed in one go: static text and values."""
        if frame.buffer == self._list and not (frame.require_output_check and self.has_known_extends):
            self._is_static = self._is_certain and not frame.require_output_check
            if not (self._is_static and isinstance(node.nodes[0], nodes.TemplateData) and not frame.eval_ctx.volatile):
                self._begin_list(frame)
        super().visit_Output(node, frame)
        self._is_static = False

    def visit_If(self, node: nodes.If, frame: Frame) -> None:  # noqa: N802 - as above
        """Write a condition."""
        with self._uncertain(frame):
            super().visit_If(node, frame)

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802 - as above
        """Write a loop."""
        with self._uncertain(frame):
            super().visit_For(node, frame)

    def visit_Block(self, node: nodes.Block, frame: Frame) -> None:  # noqa: N802 - as above
        """Write the call of a block."""
        if not (frame.toplevel and self.has_known_extends):
            with self._lists_of_others(frame):
                super().visit_Block(node, frame)

    def visit_Include(self, node: nodes.Include, frame: Frame) -> None:  # noqa: N802 - as above
        """Write the call of another template."""
        with self._lists_of_others(frame):
            super().visit_Include(node, frame)

    def start_write(self, frame: Frame, node: nodes.Node | None = None) -> None:
        """Write the beginning of a statement that prints a value."""
        self._begin_list(frame)
        super().start_write(frame, node)

    def simple_write(self, s: str, frame: Frame, node: nodes.Node | None = None) -> None:
        """Write a statement that prints a value, or the lists of a block or another template."""
        if s != _EVENT or frame.buffer is None:
            super().simple_write(s, frame, node)
        else:
            self.writeline(self._write_extend(frame.buffer), node)

    def writeline(self, x: str, node: nodes.Node | None = None, extra: int = 0) -> None:
        """Write a line; Jinja's line for a template without context would print it before what the buffer has."""
        if x == _YIELD_MODULE and self._including is not None:
            x = f"for {_EVENT} in {_MODULE}: {self._write_extend(self._including)}"
        super().writeline(x, node, extra)

    def _write_extend(self, buffer: str) -> str:
        return f"{buffer}.extend({f'map(str, {_EVENT})' if buffer == self._list else _EVENT})"

    @contextmanager
    def _uncertain(self, frame: Frame) -> Iterator[None]:
        """Write what may run never, or more than once."""
        self._begin_list(frame)
        before, self._is_certain = self._is_certain, False
        yield
        self._is_certain = before

    @contextmanager
    def _lists_of_others(self, frame: Frame) -> Iterator[None]:
        """Write what prints lists of its own: yield them where they are certain, else print their pieces as values."""
        if self._is_certain and frame.buffer == self._list and not frame.require_output_check:
            self._yield_list()
            frame.buffer = None
            yield
            frame.buffer = self._list
            self.writeline(f"{self._list} = []")
            self._is_begun = False
        else:
            self._begin_list(frame)
            before, self._including = self._including, frame.buffer
            yield
            self._including = before

    def _begin_list(self, frame: Frame) -> None:
        """Begin the list with static text, because what follows is none."""
        if frame.buffer is not None and frame.buffer == self._list and not self._is_begun:
            self.writeline(f"{self._list}.append({self._write_static('')})")

    def _write_static(self, text: str) -> str:
        self._is_begun = True
        self._statics.append(text)
        return f"static_{len(self._statics) - 1}"

    def _yield_list(self) -> None:
        if self._is_begun:
            self.writeline(f"yield {self._list}")

    def _output_const_repr(self, group: Iterable[Any]) -> str:
        return self._write_static("".join(group)) if self._is_static else super()._output_const_repr(group)

    def visit_Filter(self, node: nodes.Filter, frame: Frame) -> None:  # noqa: N802 - as above
        """Write a filter, or the value alone where printing checks it."""
        if node is self._printed and node.name == CHECK and node.node is not None:
            self.visit(node.node, frame)
        else:
            super().visit_Filter(node, frame)

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        label = _find_label(node, frame)
        if label is None:
            super()._output_child_pre(node, frame, finalize)
            return
        self._printed = node
        self.write("print_html(" if frame.eval_ctx.autoescape else "print_text(")

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        label = _find_label(node, frame)
        if label is None:
            super()._output_child_post(node, frame, finalize)
            return
        self.write(f", {label!r})")


def _find_label(node: nodes.Expr, frame: Frame) -> str | None:
    """Return the label of an expression that is printed with one call; None where Jinja's own code prints it."""
    return None if frame.eval_ctx.volatile else find_printed_label(node)


def _list_names(tree: nodes.Template, kind: type[nodes.Filter] | type[nodes.Test]) -> list[str]:
    return sorted({node.name for node in tree.find_all(kind)})
