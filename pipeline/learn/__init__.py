"""Files become a candidate model: pure functions of files, which know no database, no LLM and no page."""
