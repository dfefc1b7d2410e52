"""Where samples come from, and checks of what comes from outside."""
