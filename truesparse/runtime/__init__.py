"""What every room may use: threads, memory, random streams, interrupts, checks of parameters."""
