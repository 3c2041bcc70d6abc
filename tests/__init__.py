"""The tests: a mirror of the tree, with real parts (HTTP servers, SQLite, Git and DVC, Prefect, a browser)."""
