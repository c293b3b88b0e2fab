"""The table of modules is true: what is called ported has a test, what is not has a reason."""

import ast
from pathlib import Path

import pytest

from conformance import modules
from conformance.modules import NOT_PORTED, PLANS, function_of

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def functions_for(plan: str) -> set[str]:
    """The names of the test functions in the files that belong to a plan."""
    found: set[str] = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        if plan in plans_of(tree):
            found |= {node.name for node in tree.body if isinstance(node, FUNCTION) and node.name[:5] == "test_"}
    return found


def plans_of(tree: ast.Module) -> set[str]:
    """`PLANS = (BASIC, DYNAMIC)` at the top of a file."""
    for node in tree.body:
        named = [getattr(target, "id", "") for target in node.targets] if isinstance(node, ast.Assign) else []
        if named == ["PLANS"] and isinstance(node.value, ast.Tuple):  # type: ignore[attr-defined]
            return {getattr(modules, name.id) for name in node.value.elts if isinstance(name, ast.Name)}  # type: ignore[attr-defined]
    return set()


@pytest.mark.parametrize("name", PLANS)
def test_a_ported_module_has_a_test_and_another_has_a_reason(name: str) -> None:
    """What is not ported is listed, with why."""
    written = functions_for(name)
    for module in PLANS[name]:
        reason = NOT_PORTED.get((name, module))
        assert (function_of(module) in written) == (reason is None), module
        assert reason is None or len(reason) > 20, module
    assert written <= {function_of(module) for module in PLANS[name]}, "a test that is no module"


def test_no_reason_is_for_a_module_that_does_not_exist() -> None:
    """Reasons are kept beside names that are written out: a typing error shows."""
    assert all(module in PLANS[plan] for plan, module in NOT_PORTED)
