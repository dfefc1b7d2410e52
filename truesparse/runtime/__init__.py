"""Services for every room: threads, memory, random streams, interrupts, checks of parameters, plug-ins."""
