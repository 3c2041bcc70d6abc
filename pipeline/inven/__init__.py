"""Inven's boards: polite requests (`client`), pages as records (`parse`), walks over a board (`crawl`)."""
