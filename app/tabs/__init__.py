"""The page's tabs. Each module has one function that builds a tab and wires its events."""
