"""The prosumer's program (FOA): flex-offers out, schedules in, readings out; it speaks only REST to the hub."""
