"""Evaluate: candidate and champion on the same frozen test sets. `python -m pipeline.evaluate`.

`models/metrics.json` (in Git: `dvc metrics diff` reads it) has the figures; `models/evaluation/` has each model's
judgement of every test text, slices, flips, suspicious labels, plots, pictures and a card. With `--on FILE.tsv`
the production model is measured on anyone's labelled texts instead, and nothing is written.
"""
