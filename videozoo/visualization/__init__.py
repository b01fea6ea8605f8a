"""What each method sees, as pictures."""
