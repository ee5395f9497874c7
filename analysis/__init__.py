"""What recorded runs say: counts, costs, consistency. It sees runs, never a live machine."""

from emu.analysis.audit import Audit, Finding, audit
from emu.analysis.breakdown import Breakdown, Part, breakdown, breakdown_by_group
from emu.analysis.cost import CallCost, CostReport, Spread, cost, cost_stages
from emu.analysis.integrity import Integrity, integrity
from emu.analysis.names import function_name, version_names
from emu.analysis.operations import Bounds, bounds_of, life_of
from emu.analysis.phases import Phase, phases
from emu.analysis.report import CostFacts, Report, report_of, stage_facts
from emu.analysis.summary import Summary, summarize
from emu.analysis.tables import (
    audit_table,
    audited,
    breakdown_table,
    cost_tables,
    printable,
    stages_table,
    summary_tables,
    table_of,
    text_of,
)

__all__ = [
    "Audit",
    "Bounds",
    "Breakdown",
    "CallCost",
    "CostFacts",
    "CostReport",
    "Finding",
    "Integrity",
    "Part",
    "Phase",
    "Report",
    "Spread",
    "Summary",
    "audit",
    "audit_table",
    "audited",
    "bounds_of",
    "breakdown",
    "breakdown_by_group",
    "breakdown_table",
    "cost",
    "cost_stages",
    "cost_tables",
    "function_name",
    "integrity",
    "life_of",
    "phases",
    "printable",
    "report_of",
    "stage_facts",
    "stages_table",
    "summarize",
    "summary_tables",
    "table_of",
    "text_of",
    "version_names",
]
