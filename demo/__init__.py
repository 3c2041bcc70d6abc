"""What the demo, the tests and the benchmarks run on: a replay of Inven on localhost, posts, a small LLM."""
