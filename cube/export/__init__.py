"""Pure: a job in the words of others, for those who leave, and what those have no words for."""
