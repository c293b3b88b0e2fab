"""The table of plan, module and result at the end of a run, also where workers ran the tests."""

import json
from typing import Any

from conformance.modules import NOT_PORTED, PLANS


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Plan, module, result."""
    results: dict[tuple[str, str], str] = {}
    for outcome in ("passed", "skipped", "xfailed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in getattr(report, "user_properties", ()):
                if name == "conformance":
                    plan, module = json.loads(value)
                    results[plan, module] = outcome
    if not results:
        return
    write = terminalreporter.write_line
    terminalreporter.section("the OpenID Foundation's modules")
    for plan, modules in PLANS.items():
        of_plan = {module: results.get((plan, module), "not run") for module in modules}
        ported = [module for module in modules if (plan, module) not in NOT_PORTED]
        passed = sum(of_plan[module] == "passed" for module in ported)
        write(f"{plan} | {len(modules)} modules, {len(ported)} ported, {passed} passed")
        for module in modules:
            reason = NOT_PORTED.get((plan, module))
            write(f"  {module} | {of_plan[module] if reason is None else f'not ported: {reason}'}")
