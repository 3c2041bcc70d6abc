"""What moved becomes frozen: posts and corrections to files, recorded by DVC and tagged in Git."""
