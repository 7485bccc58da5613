"""The paper's Table 1 in the reading that fits it: run, measured and judged as PLAN.md says."""
