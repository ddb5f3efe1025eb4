"""What holds for every page of this repository: its links lead somewhere, its words are spelled as dictionaries do."""
