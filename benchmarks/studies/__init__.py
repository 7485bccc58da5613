"""Experiments carried out by a plan and recorded; each study has a folder of its own beside this one."""
