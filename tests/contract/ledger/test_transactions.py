"""The ledger answers with values: no other room lends its transactions to work that takes long."""

import ast
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
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
    "run/guard/ses_rates.py",
    "run/send/heartbeat.py",
    "run/send/lease_holder.py",
    "run/send/tuning.py",
    "run/send/warmup.py",
}
TRANSACTIONS = {"Connection", "Engine"}
STORES = {"Store", "FolderStore", "S3Store"}
# The connections of SES callers are network connections.
HAVE_OTHER_CONNECTIONS = "delivery/transports/"

Modules = Sequence[tuple[str, ast.Module]]


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = open_ledger(ledger_url)
    yield opened
    opened.close()


@cache
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


def list_fields(node: ast.ClassDef) -> set[str]:
    """List the types that a class is made of: of its fields and its constructor, and its bases."""
    made = dict(pair for method in node.body for pair in list_own_types(method)).get("__init__", set())
    return list_types(*(n.annotation for n in node.body if isinstance(n, ast.AnnAssign)), *node.bases) | made


def find_holders(fields: Sequence[tuple[str, set[str]]], types: set[str]) -> set[str]:
    """Find the classes that hold one of some types, directly or in an object that does."""
    found, before = set(types), -1
    while len(found) > before:
        before = len(found)
        found |= {name for name, of in fields if of & found}
    return found


def find_both(modules: Modules) -> list[str]:
    """Find every function that takes, every class that holds, and every method that has both of its class and takes."""
    nodes = [(name, node) for name, tree in modules for node in ast.walk(tree)]
    functions = [(name, *pair) for name, node in nodes for pair in list_own_types(node)]
    classes = [(name, node, list_fields(node)) for name, node in nodes if isinstance(node, ast.ClassDef)]
    methods = [
        (name, f"{node.name}.{method}", types | fields)
        for name, node, fields in classes
        for statement in node.body
        for method, types in list_own_types(statement)
    ]
    stores = find_holders([(node.name, fields) for _, node, fields in classes], STORES)
    return [
        f"{name}: {owner}"
        for name, owner, types in (*functions, *((name, node.name, fields) for name, node, fields in classes), *methods)
        if types & TRANSACTIONS and types & stores and not name.startswith(HAVE_OTHER_CONNECTIONS)
    ]


def test_nothing_outside_the_ledger_has_a_transaction_and_a_store():
    assert find_both(list_modules()) == []


@pytest.mark.parametrize(
    ("source", "owner"),
    [
        ("def read(tx: Connection, store: Store): ...", "read"),
        ("async def read(tx: 'Connection', *, store: Store | None = None): ...", "read"),
        ("class Reader:\n    tx: Connection\n    store: S3Store", "Reader"),
        ("class Reader:\n    def __init__(self, tx: Connection, store: Store): ...", "Reader"),
        ("class Files:\n    store: Store\ndef read(tx: Connection, files: Sequence[Files]): ...", "read"),
        ("class Files:\n    store: Store\n    def read(self, tx: Connection): ...", "Files.read"),
        ("class Files:\n    store: Store\nclass More(Files):\n    def read(self, tx: Connection): ...", "More.read"),
    ],
)
def test_transaction_beside_a_store_is_found_when_nested(source: str, owner: str):
    assert f"run/new.py: {owner}" in find_both([("run/new.py", ast.parse(source))])


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
