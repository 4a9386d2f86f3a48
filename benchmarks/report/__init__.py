"""Tables and curves of what ``benchmarks.run`` wrote: ``python -m benchmarks.report F.jsonl``."""
