"""The Python code that a template compiles to, where it prints a value: one call checks, escapes and converts it."""

from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame

from engine.campaign.content.printing.print_checks import CHECK, find_printed_label


class PrintCodeGenerator(CodeGenerator):
    """Compiles the checks of printed values, which print_checks adds, together with printing.

    Jinja's own code would call a check, then `escape`, which makes an object for each value.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._printed: nodes.Expr | None = None

    def write_commons(self) -> None:
        """Write what is defined at the top of each function."""
        super().write_commons()
        self.writeline("print_html = environment.print_html")
        self.writeline("print_text = environment.print_text")

    def visit_Filter(self, node: nodes.Filter, frame: Frame) -> None:  # noqa: N802 - Jinja's visitor finds it by this name
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
