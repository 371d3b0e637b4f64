"""The ledger answers with values: no other room lends its transactions to work that takes long."""

import ast
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import engine
from engine.ledger.database import Ledger, open_ledger
from engine.transaction_guard import OpenTransactionError, refuse_in_transaction

ENGINE = Path(engine.__file__).parent
# Besides the ledger these modules name a transaction's type: they decide on what was read within one transaction.
DECIDE_INSIDE = {
    "feedback/events/effects.py",
    "run/guard/canary.py",
    "run/guard/evidence.py",
    "run/guard/safeguards.py",
    "run/send/heartbeat.py",
    "run/send/lease_holder.py",
    "run/send/tuning.py",
    "run/send/warmup.py",
}
TRANSACTIONS = {"Connection", "Engine"}
# A store, and what holds one.
STORES = {"Store", "FolderStore", "S3Store", "OutcomesFiles", "MessageIds", "FrozenRun", "Workspace", "Marks"}


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = open_ledger(ledger_url)
    yield opened
    opened.close()


def list_modules() -> list[tuple[str, ast.Module]]:
    """List the modules outside the ledger with their source."""
    paths = sorted(ENGINE.rglob("*.py"))
    names = [(path.relative_to(ENGINE).as_posix(), path) for path in paths]
    return [(name, ast.parse(path.read_text("utf-8"))) for name, path in names if not name.startswith("ledger/")]


def list_types(*annotations: ast.expr | None) -> set[str]:
    """List the names in annotations, also in quoted ones."""
    nodes = [node for annotation in annotations if annotation is not None for node in ast.walk(annotation)]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return names | {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def list_own_types(node: ast.AST) -> Iterator[tuple[str, set[str]]]:
    """Yield the name of a function, if it is one, with the types of its parameters."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        yield node.name, list_types(*(argument.annotation for argument in arguments))


def list_signatures(tree: ast.Module) -> Iterator[tuple[str, set[str]]]:
    """Yield each function with the types of its parameters, each class with those of its fields and constructor."""
    for node in ast.walk(tree):
        yield from list_own_types(node)
        if isinstance(node, ast.ClassDef):
            yield node.name, list_types(*(n.annotation for n in node.body if isinstance(n, ast.AnnAssign)))


def test_no_function_or_class_has_a_transaction_and_a_store():
    both = [
        f"{name}: {owner}"
        for name, tree in list_modules()
        for owner, types in list_signatures(tree)
        if types & TRANSACTIONS and types & STORES
    ]
    assert both == []


def test_no_method_takes_a_transaction_where_its_class_has_a_store():
    found = []
    for name, tree in list_modules():
        for node in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
            types = {owner: types for method in node.body for owner, types in list_own_types(method)}
            fields = list_types(*(n.annotation for n in node.body if isinstance(n, ast.AnnAssign)))
            if STORES & (fields | types.get("__init__", set())):
                found += [f"{name}: {node.name}.{method}" for method, of in types.items() if of & TRANSACTIONS]
    assert found == []


def test_few_modules_outside_the_ledger_name_its_transactions():
    naming = {
        name
        for name, tree in list_modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom | ast.Import)
        and "sqlalchemy" in {*(alias.name for alias in node.names), getattr(node, "module", None)}
    }
    assert naming <= DECIDE_INSIDE


def test_work_is_refused_while_a_transaction_of_this_thread_is_open(ledger: Ledger):
    for transaction in (ledger.read, ledger.write):
        with transaction(), pytest.raises(OpenTransactionError, match=r"inside a ledger transaction: a\.parquet"):
            refuse_in_transaction("a.parquet")
        refuse_in_transaction("a.parquet")


def test_a_transaction_inside_another_is_refused(ledger: Ledger):
    with ledger.read(), pytest.raises(OpenTransactionError, match="a second ledger transaction"), ledger.write():
        pass


def test_work_is_allowed_again_after_a_transaction_failed(ledger: Ledger):
    with pytest.raises(KeyError), ledger.write():
        raise KeyError
    refuse_in_transaction("a.parquet")


def test_work_of_another_thread_is_not_refused(ledger: Ledger):
    with ledger.write(), ThreadPoolExecutor(1) as thread:
        thread.submit(refuse_in_transaction, "a.parquet").result()
