"""What still moves: the live database. The only room with SQL."""
