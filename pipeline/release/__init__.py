"""Candidate becomes production or not, and either way a tag."""
