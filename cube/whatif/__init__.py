"""Pure: what would be if nodes went or came, or if other numbers of tasks were wanted."""
