"""Whether fine-tuning helped: paired tests, alarms, and what is kept."""

from tunesmith.verdicts.sentence import sentence

__all__ = ["sentence"]
