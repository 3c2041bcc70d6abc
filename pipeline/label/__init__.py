"""Labelling posts with an LLM behind an OpenAI-compatible server (LM Studio, llama.cpp and others).

`pipeline.label.chunk.label_chunk` turns a raw chunk into a labelled one; `python -m pipeline.label 0007` is the same by
hand and `python -m pipeline.label --check` compares the LLM with the gold labels in `data/gold/`.
"""
