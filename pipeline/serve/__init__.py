"""What answers: a model that judges texts, moods of collected posts, keywords."""
